"""Who is named, and when nobody is."""

import math

import pytest
from audits import example_audit, group

from tasks.attribution.document import Verdict, Witness
from tasks.attribution.verdict import LEAST_NATS, Case, judge, judge_sets, named, with_truth


def case(**changes):
    known = {
        "count": 1,
        "begun": -5.0,
        "ended": -1.0,
        "parts": {"math": 4.5, "code": -0.5},
        "num_tokens": 2.0,
        "sure": None,
        "owners": {"math": "team-math"},
        "start": "the fork point",
    }
    return Case(**(known | changes))


def witness(name, who):
    return Witness(name=name, parts={}, named=who)


@pytest.mark.parametrize(
    ("parts", "who"),
    [
        ({"math": 2.0, "code": 1.9}, "math"),
        ({"math": LEAST_NATS - 0.01, "code": -9.0}, ""),
        ({"math": -1.0, "code": -2.0}, ""),
        ({}, ""),
    ],
)
def test_the_largest_source_is_named_if_it_doubled_the_odds(parts, who):
    assert named(parts) == who


def test_the_sentence_says_who_how_much_against_whom_and_whom_to_ask():
    verdict = judge(case(), [witness("surgery", "math"), witness("owner", "code")])
    assert verdict.named == "math"
    assert "+4.50 nats, 100% of what pushed towards it" in verdict.sentence
    assert "pushed against it by 0.5 nats" in verdict.sentence
    assert "Ask team-math." in verdict.sentence
    assert "agreeing: surgery" in verdict.confidence
    assert "differing: owner (code)" in verdict.confidence
    assert "too few" in verdict.confidence


def test_what_the_student_does_not_say_is_nobodys():
    # two tokens of e^-10 each: far below SAID = 0.1
    verdict = judge(case(begun=-30.0, ended=-20.0), [])
    assert verdict.named == ""
    assert "does not say this" in verdict.sentence


def test_against_a_contrast_the_level_says_nothing_of_whether_it_is_said():
    assert judge(case(begun=-30.0, ended=-20.0, num_tokens=0), []).named == "math"


def test_what_was_there_before_is_nobodys_doing():
    parts = {"math": 0.3, "code": 0.1}
    verdict = judge(case(begun=-0.5, ended=-0.1, parts=parts), [])
    assert verdict.named == ""
    assert "was there before" in verdict.sentence


def test_many_small_sources_are_no_single_one():
    parts = dict.fromkeys(("a", "b", "c"), 0.5)
    verdict = judge(case(begun=-2.0, ended=-0.5, parts=parts), [])
    assert verdict.named == ""
    assert "no single source" in verdict.sentence


def test_the_share_of_resamples_is_told():
    assert "97% of resampled sets" in judge(case(count=9, sure=0.97), []).confidence


def test_sets_name_what_a_teacher_shaped_outside_its_domain_first():
    groups = [
        group("math", "math", math=(3.0, 2.0, 4.0), code=(0.1, -0.1, 0.2)),
        group("neutral", "", math=(0.0, -1.0, 1.0), code=(2.0, 1.0, 3.0)),
        group("code", "code", math=(2.0, -0.1, 4.0), code=(0.2, 0.1, 0.3)),
    ]
    sentence = judge_sets(groups, ["math", "code"], 18).sentence
    # math on code's prompts is large, but its interval holds 0
    assert sentence.startswith("Off its own domain, code shaped neutral (+2.00 nats).")
    assert "own teacher shaped math (+3.00)" in sentence


def test_without_intervals_nothing_is_shown_off_a_domain():
    groups = [
        group("math", "math", count=2, math=1.0, code=9.0),
        group("code", "code", code=1.0, math=0),
    ]
    assert judge_sets(groups, ["math", "code"], 4).sentence.startswith("No teacher is shown")


def test_retrains_are_told_of_who_is_named_and_of_what_is_off_its_domain():
    found = example_audit().verification
    verdict = Verdict(named="math", sentence="s", confidence="c.")
    told = with_truth(verdict, found, [("neutral", "math"), ("neutral", "code")]).confidence
    assert told == (
        "c. Measured: a retrain without math lost +1.50 nats; a retrain without math lost "
        "\N{MINUS SIGN}0.25 nats on neutral; two seeds differ by 0.30."
    )


def test_the_threshold_is_a_doubling():
    assert math.isclose(math.exp(LEAST_NATS), 2.0)
