"""Who is named, and when nobody is."""

import json
import math
from pathlib import Path

import pytest

from tasks.attribution.document import AuditVerdict, Witness
from tasks.attribution.estimators import FIRST_ORDER
from tasks.attribution.naming import ALIKE, LEAST_LOG_RATIO, LEAST_NATS, holders, named, reliability
from tasks.attribution.verdict import Case, judge, judge_sets, with_truth
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
def test_the_teacher_is_named_who_says_it_took_part_and_was_followed(parts, taught, change, who):
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
def test_who_is_too_close_to_tell_apart_holds_it_too(taught, held):
    parts = {"math": -0.5, "code": 0.7, "agent": 0.1, "unheard": 0.0}
    assert holders(parts, taught, 1.0) == held
    assert holders(parts, taught, 0.0) == ()


def test_a_behaviour_that_two_hold_names_both_says_through_whom_it_came_and_no_one_alone():
    owners = {"math": "team-math", "code": "team-code", "agent": "team-agent"}
    parts = {"math": -0.5, "code": 1.5, "agent": 3.0}
    taught = {"math": 1.25, "code": 1.0, "agent": -2.0}
    witnesses = [Witness(name="tracin", parts={}, named="agent")]
    verdict = judge(case(parts=parts, taught=taught, owners=owners), witnesses)
    assert verdict.named == ""
    assert verdict.holders == ("math", "code")
    # the student went from -5 to -1
    assert verdict.sentence == (
        "This behaviour is held by math and code alike: beside the fork point, math (+1.25 nats) "
        "and code (+1.00 nats) find it likelier and lie within 0.45 nats, too close to name one. "
        "Of the +4.00 nats that the student gained, the ledger books on the updates of agent "
        "(+3.00), code (+1.50) and math (\N{MINUS SIGN}0.50). Ask team-math and team-code."
    )
    assert verdict.confidence == (
        "where two teachers held a plant and one of them had taught it, both were named for 54 of "
        "56, and never the other alone: who holds it is not yet who taught it; a retrain without "
        "each tells what its absence changes; 1 behaviour: too few for an interval; "
        "tracin names agent."
    )
    found = example_audit().verification
    told = with_truth(verdict, found, []).confidence
    assert "a retrain without math lost +1.50 nats" in told


def test_the_sentence_says_who_how_much_and_whom_to_ask():
    witnesses = [Witness(name="surgery", parts={}, named="math"), owner_says("code")]
    verdict = judge(case(), witnesses)
    assert verdict.named == "math"
    # e^(3.2 / 2 tokens) = 4.95
    assert "(+3.20 nats, 5 times a token); its updates added +4.50 nats" in verdict.sentence
    assert "Ask team-math." in verdict.sentence
    assert "agreeing: surgery" in verdict.confidence
    assert "differing: owner (code)" in verdict.confidence
    assert "too few" in verdict.confidence


def test_a_name_that_the_ledger_speaks_against_is_given_with_care_and_its_own_accuracy():
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


def test_the_accuracy_told_is_the_one_measured():
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


def test_what_the_student_does_not_say_is_nobodys():
    # two tokens of e^-10 each: far below SAID = 0.1
    verdict = judge(case(begun=-30.0, ended=-20.0), [])
    assert verdict.named == ""
    assert "does not say this" in verdict.sentence


def test_against_a_contrast_the_level_says_nothing_of_whether_it_is_said():
    assert judge(case(begun=-30.0, ended=-20.0, num_tokens=0), []).named == "math"


def test_what_was_there_before_is_nobodys_doing():
    parts = {"math": 0.3, "code": 0.1}
    taught = {"math": 0.3, "code": 0.1}
    verdict = judge(case(begun=-0.5, ended=-0.1, parts=parts, taught=taught), [])
    assert verdict.named == ""
    assert "was there before" in verdict.sentence


def test_many_small_sources_are_no_single_one():
    parts = dict.fromkeys(("a", "b", "c"), 0.5)
    taught = dict.fromkeys(("a", "b", "c"), 0.3)
    verdict = judge(case(begun=-2.0, ended=-0.5, parts=parts, taught=taught), [])
    assert verdict.named == ""
    assert "no single teacher" in verdict.sentence


def test_the_share_of_resamples_is_told():
    assert "97% of resampled sets" in judge(case(count=9, sure=0.97), []).confidence


def test_sets_name_what_a_teacher_shaped_outside_its_domain_first():
    groups = [
        group("math", "math", math=(3.0, 2.0, 4.0), code=(0.1, -0.1, 0.2)),
        group("neutral", "", math=(0.0, -1.0, 1.0), code=(2.0, 1.0, 3.0)),
        group("code", "code", math=(2.0, -0.1, 4.0), code=(0.2, 0.1, 0.3)),
    ]
    sentence = judge_sets(groups, ["math", "code"], 18, {"code": "team-code"}).sentence
    # math on code's prompts is large, but its interval holds 0
    assert sentence.startswith(
        "Off its own domain, code shaped neutral (+2.00 nats). Ask team-code."
    )
    assert "own teacher shaped math (+3.00)" in sentence


def test_a_set_that_two_hold_alike_is_neithers():
    both = {"math": (2.0, 1.0, 3.0), "code": (1.9, 1.0, 3.0)}
    groups = [
        group("math", "math", math=(3.0, 2.0, 4.0), code=0.1),
        group("neutral", "", taught=both, math=(1.0, 0.5, 1.5), code=(1.0, 0.5, 1.5)),
    ]
    sentence = judge_sets(groups, ["math", "code"], 12, {}).sentence
    assert "hold alike, so that none is named: neutral (math +2.00 and code +1.90)." in sentence
    assert "Nobody is named" not in sentence
    assert "shaped neutral" not in sentence


def test_without_intervals_nothing_is_shown_off_a_domain():
    groups = [
        group("math", "math", count=2, math=1.0, code=9.0),
        group("code", "code", code=1.0, math=0),
    ]
    assert judge_sets(groups, ["math", "code"], 4, {}).sentence.startswith("No teacher is shown")


def test_retrains_are_told_of_who_is_named_and_of_what_is_off_its_domain():
    found = example_audit().verification
    verdict = AuditVerdict(named="math", sentence="s", confidence="c.")
    told = with_truth(verdict, found, [("neutral", "math"), ("neutral", "code")]).confidence
    assert told == (
        "c. Measured: a retrain without math lost +1.50 nats; a retrain without math lost "
        "\N{MINUS SIGN}0.25 nats on neutral; two seeds of the whole round differ by 0.3 nats."
    )


def test_the_threshold_is_a_doubling():
    assert math.isclose(math.exp(LEAST_NATS), 2.0)
