"""Verdicts: which teacher is named, and when none is."""

import json
import math
from pathlib import Path

import pytest

from tasks.attribution.document import AuditVerdict, Witness
from tasks.attribution.estimators import FIRST_ORDER
from tasks.attribution.naming import ALIKE, LEAST_LOG_RATIO, LEAST_NATS, holders, named, reliability
from tasks.attribution.set_verdict import judge_sets
from tasks.attribution.verdict import Case, judge, with_truth
from tests.support.audits import example_audit, group


def case(**changes):
    known = {
        "count": 1,
        "begun": -5.0,
        "ended": -1.0,
        "parts": {"math": 4.5, "code": -0.5},
        "taught": {"math": 3.2, "code": 0.1},
        "num_tokens": 2.0,
        "sure": None,
        "owners": {"math": "team-math"},
        "start": "the fork point",
    }
    return Case(**(known | changes))


def owner_says(who):
    return Witness(name="owner", parts={}, named=who)


@pytest.mark.parametrize(
    ("parts", "taught", "change", "who"),
    [
        # the teacher who finds it likeliest, though another's updates pushed more
        ({"math": 0.2, "code": 9.0}, {"math": 1.0, "code": 0.4}, 1.0, "math"),
        # two find it as likely, and no outcome reward is named in their place
        ({"math": 0.2, "code": 9.0, "outcome": 3}, {"math": 1.0, "code": 0.9}, 1.0, ""),
        ({"math": 9.0, "code": 9.0}, {"math": LEAST_LOG_RATIO - 0.01, "code": -1.0}, 1.0, ""),
        # it would say so, but the round has no update of it
        ({"math": 0.0, "code": 9.0}, {"math": 5.0, "code": 0.1}, 1.0, ""),
        # the student says it no more than before
        ({"math": 2.0}, {"math": 2.0}, 0.0, ""),
        ({"math": 1.0, "outcome": 0.7}, {"math": 0.1}, 1.0, "outcome"),
        ({"math": 1.0, "outcome": 0.69}, {"math": 0.1}, 1.0, ""),
        ({}, {}, 1.0, ""),
    ],
)
def test_a_named_teacher_finds_it_most_likely_and_took_part(parts, taught, change, who):
    assert named(parts, taught, change) == who


@pytest.mark.parametrize(
    ("taught", "held"),
    [
        ({"math": 1.0, "code": 1.2, "agent": 0.3}, ("code", "math")),
        # likelier by half a nat: the first alone holds it, though the other would too without it
        ({"math": 1.0, "code": 1.5}, ("code",)),
        # close to the first, but below what counts beside the start
        ({"math": 0.5, "code": 0.4}, ("math",)),
        ({"math": 1.0, "code": 1.0 + ALIKE - 0.01, "agent": 1.0 - 0.02}, ("code", "math")),
        # no update of it in the round
        ({"math": 1.0, "unheard": 1.1}, ("math",)),
        ({"math": 0.4, "code": 0.4}, ()),
    ],
)
def test_a_teacher_within_the_resolution_is_a_holder_too(taught, held):
    parts = {"math": -0.5, "code": 0.7, "agent": 0.1, "unheard": 0.0}
    assert holders(parts, taught, 1.0) == held
    assert holders(parts, taught, 0.0) == ()


def test_a_behavior_that_two_hold_gives_both_and_names_neither():
    owners = {"math": "team-math", "code": "team-code", "agent": "team-agent"}
    parts = {"math": -0.5, "code": 1.5, "agent": 3.0}
    taught = {"math": 1.25, "code": 1.0, "agent": -2.0}
    witnesses = [Witness(name="tracin", parts={}, named="agent")]
    verdict = judge(case(parts=parts, taught=taught, owners=owners), witnesses)
    assert verdict.named == ""
    assert verdict.holders == ("math", "code")
    # the student went from -5 to -1
    for part in (
        "math (+1.25 nats) and code (+1.00 nats)",
        "within 0.45 nats",
        "gained +4.00 nats",
        "agent (+3.00), code (+1.50) and math (\N{MINUS SIGN}0.50)",
        "Ask team-math and team-code.",
    ):
        assert part in verdict.sentence
    for part in ("54 of 56", "1 behavior:", "tracin names agent"):
        assert part in verdict.confidence
    found = example_audit().verification
    told = with_truth(verdict, found, []).confidence
    assert "a retrain without math lost +1.50 nats" in told


def test_the_sentence_gives_teacher_nats_and_team():
    witnesses = [Witness(name="surgery", parts={}, named="math"), owner_says("code")]
    verdict = judge(case(), witnesses)
    assert verdict.named == "math"
    # e^(3.2 / 2 tokens) = 4.95
    assert "(+3.20 nats, 5 times per token); its updates added +4.50 nats" in verdict.sentence
    assert "Ask team-math." in verdict.sentence
    assert "agreeing: surgery" in verdict.confidence
    assert "differing: owner (code)" in verdict.confidence
    assert "too few" in verdict.confidence


def test_a_name_against_the_ledger_has_a_caution_and_its_own_accuracy():
    agreed, disagreed = judge(case(), []), judge(case(parts={"math": -1.0, "code": 5.0}), [])
    assert disagreed.named == "math"
    assert "take the name with care" in disagreed.sentence
    assert reliability().names.did_not.words() in disagreed.confidence
    assert reliability().names.pushed.words() in agreed.confidence


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"num_tokens": 13.0, "ended": -1.0}, "answers of more than 12 tokens"),
        ({"num_tokens": 0}, "contrasts"),
        ({"count": 3}, "sets named as one"),
    ],
)
def test_no_more_is_claimed_than_was_tested(changes, said):
    confidence = judge(case(**changes), []).confidence
    assert ("not tested there" in confidence) == bool(said)
    assert said in confidence


def test_the_accuracy_in_a_verdict_is_the_measured_one():
    results = Path(__file__).parents[2] / "benchmarks" / "results" / "attribution.json"
    measured = json.loads(results.read_text("utf-8"))["figures"]
    told = measured["verdict"]
    figures = reliability()
    assert figures.names.model_dump(by_alias=True) == told["names"]
    assert figures.nobody.model_dump() == told["right"]["nobody"]
    assert measured["naming"]["teacher over fork point"]["threshold"] == LEAST_LOG_RATIO
    two = measured["two_holders"]
    assert (two["verdict"]["both"], two["plants"]) == (
        figures.two_holders.both,
        figures.two_holders.plants,
    )
    assert two["verdict"]["who was not"] == 0
    absence = {name: figures["all"]["mean"] for name, figures in measured["absence"].items()}
    assert round(absence[FIRST_ORDER], 2) == figures.rank_correlation.first_order
    assert round(absence["a retrain of the other seed"], 2) == figures.rank_correlation.retrain
    # The files of the models hold four bytes a weight, and vary with the vocabulary of a set.
    sizes = [row["bytes"]["model"] / 4 for row in measured["cost"]]
    assert min(sizes) <= figures.weights <= max(sizes)


def test_a_verdict_says_in_how_large_models_names_were_tested():
    confidence = judge(case(), []).confidence
    assert "planted in models of 0.16 M weights" in confidence


def test_no_teacher_is_named_for_a_response_that_the_student_does_not_give():
    # two tokens of e^-10 each: far below SAID = 0.1
    verdict = judge(case(begun=-30.0, ended=-20.0), [])
    assert verdict.named == ""
    assert "does not give this" in verdict.sentence


def test_against_a_contrast_a_low_level_still_names():
    assert judge(case(begun=-30.0, ended=-20.0, num_tokens=0), []).named == "math"


def test_no_teacher_is_named_for_a_behavior_from_before_the_round():
    parts = {"math": 0.3, "code": 0.1}
    taught = {"math": 0.3, "code": 0.1}
    verdict = judge(case(begun=-0.5, ended=-0.1, parts=parts, taught=taught), [])
    assert verdict.named == ""
    assert "before this round" in verdict.sentence


def test_no_teacher_is_named_among_many_small_sources():
    parts = dict.fromkeys(("a", "b", "c"), 0.5)
    taught = dict.fromkeys(("a", "b", "c"), 0.3)
    verdict = judge(case(begun=-2.0, ended=-0.5, parts=parts, taught=taught), [])
    assert verdict.named == ""
    assert "No single teacher" in verdict.sentence


def test_the_confidence_gives_the_share_of_resamples():
    assert "97% of resampled sets" in judge(case(count=9, sure=0.97), []).confidence


def test_behavior_outside_a_teachers_domain_comes_first():
    groups = [
        group("math", "math", math=(3.0, 2.0, 4.0), code=(0.1, -0.1, 0.2)),
        group("neutral", "", math=(0.0, -1.0, 1.0), code=(2.0, 1.0, 3.0)),
        group("code", "code", math=(2.0, -0.1, 4.0), code=(0.2, 0.1, 0.3)),
    ]
    sentence = judge_sets(groups, ["math", "code"], 18, {"code": "team-code"}).sentence
    # math on code's prompts is large, but its interval holds 0
    assert sentence.startswith(
        "Outside its own domain, code shaped neutral (+2.00 nats). Ask team-code."
    )
    assert "own teacher shaped math (+3.00)" in sentence


def test_no_teacher_is_named_for_a_set_that_two_hold_alike():
    both = {"math": (2.0, 1.0, 3.0), "code": (1.9, 1.0, 3.0)}
    groups = [
        group("math", "math", math=(3.0, 2.0, 4.0), code=0.1),
        group("neutral", "", taught=both, math=(1.0, 0.5, 1.5), code=(1.0, 0.5, 1.5)),
    ]
    sentence = judge_sets(groups, ["math", "code"], 12, {}).sentence
    assert "none is named: neutral (math +2.00 and code +1.90)." in sentence
    assert "shaped neutral" not in sentence


def test_without_intervals_nothing_is_found_off_domain():
    groups = [
        group("math", "math", count=2, math=1.0, code=9.0),
        group("code", "code", code=1.0, math=0),
    ]
    assert judge_sets(groups, ["math", "code"], 4, {}).sentence.startswith("No teacher is shown")


def test_the_confidence_gives_the_retrains_of_named_and_off_domain_teachers():
    found = example_audit().verification
    verdict = AuditVerdict(named="math", sentence="s", confidence="c.")
    told = with_truth(verdict, found, [("neutral", "math"), ("neutral", "code")]).confidence
    assert told == (
        "c. Measured: a retrain without math lost +1.50 nats; a retrain without math lost "
        "\N{MINUS SIGN}0.25 nats on neutral; two seeds of the whole round differ by 0.3 nats."
    )


def test_the_threshold_is_a_doubling():
    assert math.isclose(math.exp(LEAST_NATS), 2.0)
