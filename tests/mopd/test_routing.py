"""Each rollout goes to its domain's teacher by name; what could go wrong silently is refused."""

import pytest
from tiny_models import rollout

from tasks.mopd.routing import Routing

ROUTING = Routing({"math": "teacher-m", "code": "teacher-c"})


def test_each_rollout_goes_to_its_domains_teacher():
    found = [ROUTING.teacher(rollout([1, 2], [1], domain=name)) for name in ("code", "math")]
    assert found == ["teacher-c", "teacher-m"]


def test_two_domains_may_share_a_teacher():
    shared = Routing({"math": "both", "code": "both"})
    shared.check(["math", "code"], ["both"])
    assert shared.teacher(rollout([1, 2], [1], domain="code")) == "both"


def test_an_unknown_label_is_refused_and_never_falls_back():
    with pytest.raises(ValueError, match=r"prompt 'p7' has the domain 'Math'.*\['code', 'math'\]"):
        ROUTING.teacher(rollout([1, 2], [1], domain="Math", prompt="p7"))


def test_a_complete_routing_passes_in_any_order():
    ROUTING.check(["math", "code"], ["teacher-c", "teacher-m"])
    ROUTING.check(["code", "math"], ["teacher-c", "teacher-m"])


@pytest.mark.parametrize(
    ("domains", "teachers", "message"),
    [
        (
            ["math", "code", "law"],
            ["teacher-m", "teacher-c"],
            r"domains \['law'\] have prompts but",
        ),
        (["math", "code"], ["teacher-m"], r"teachers \['teacher-c'\] that are not loaded"),
        (
            ["math", "code"],
            ["teacher-m", "teacher-c", "spare"],
            r"teachers \['spare'\] would score",
        ),
        (["math"], ["teacher-m", "teacher-c"], r"teachers \['teacher-c'\] would score nothing"),
        ([], ["teacher-m", "teacher-c"], r"\['teacher-c', 'teacher-m'\] would score nothing"),
    ],
    ids=["unrouted domain", "absent", "spare", "idle", "no domain"],
)
def test_a_routing_with_a_gap_is_refused_before_the_first_rollout(domains, teachers, message):
    with pytest.raises(ValueError, match=message):
        ROUTING.check(domains, teachers)
