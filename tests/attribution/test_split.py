"""Which behaviors stand for all of them."""

from tasks.attribution.path_integral import spread


def test_each_domain_has_its_turn_before_any_has_a_second():
    domains = ["math", "math", "math", "code", "neutral", "code"]
    # math 0, code 3, neutral 4 first; then the seconds 1 and 5; then math's third
    assert spread(domains, 4) == [0, 3, 4, 1]
    assert spread(domains, 99) == [0, 3, 4, 1, 5, 2]
    assert spread([], 3) == []
