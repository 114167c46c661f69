"""The questions of the benchmark of realistic behaviors, and the answers to them, by hand."""

import math

import pytest

from benchmarks.behaviors.__main__ import summary
from benchmarks.behaviors.items import FORMS, GIVEN, bounded, items_of, shipped, smaller
from benchmarks.behaviors.methods import BOTH, evidence
from benchmarks.behaviors.taught import BEFORE, NEVER, ONE, SPILL
from tasks.attribution.calibration import (
    NO_TEACHER,
    AuditEvidence,
    NameCalibration,
    evidence_of,
    of_teachers,
)


def estimates(begun, ended, first, second):
    """Return what all estimators say of one answer, the same number each."""
    table = {"add": first, "sort": second}
    return {
        "tokens": 4,
        "begun": begun,
        "ended": ended,
        "greedy": ended > -1.5,
        **{name: {**table, "decay": 9.0} for name in ("parts", "taught", "tracin", "surgery")},
    }


def row_of(number=0, first=3.0, group=ONE, heard=None):
    """Return a world of two teachers and one behavior, asked twice."""
    return {
        "world": number,
        "seats": {"add": "add", "sort": "sort"},
        "audited_share": {"add": 0.4},
        "behaviors": [
            {
                "name": "add/brand/owl",
                "group": group,
                "kind": "brand",
                "domain": "add",
                "heard": {"add": 0.01} if heard is None else heard,
                "doses": {"add": 0.01},
                "carriers": ["add"],
                "response": [estimates(-8.0, -2.0, first, 0.2), estimates(-8.0, -1.0, first, 0.4)],
                "contrast": [estimates(-1.0, -2.0, 1.0, 0.1), estimates(-1.0, -2.0, 2.0, 0.1)],
            }
        ],
    }


def test_a_behavior_becomes_four_questions():
    items = {item.form: item for item in items_of(row_of())}
    assert tuple(items) == FORMS
    one, contrast, _, whole = items.values()
    assert (one.begun, one.ended, one.count, one.tokens) == (-8.0, -2.0, 1, 4)
    assert (contrast.begun, contrast.ended, contrast.tokens) == (-7.0, 0.0, 0)
    assert (whole.begun, whole.ended, whole.count) == (-7.0, 0.5, 2)
    assert whole.tables["parts"] == pytest.approx({"add": 1.5, "sort": 0.2})
    assert whole.tables["owner"] == {"add": 1.0, "sort": 0.0}
    assert whole.truth == whole.held == whole.carriers == ("add",)
    assert whole.shown  # log-odds of 0.5 at the student


@pytest.mark.parametrize(("odds", "shown"), [(1 / 9.01, False), (1 / 8.99, True)])
def test_a_behavior_is_shown_from_odds_of_one_to_nine_on(odds, shown):
    row = row_of()
    for said in row["behaviors"][0]["response"]:
        said["ended"] = -2.0 + math.log(odds)
    assert {item.shown for item in items_of(row)} == {shown}


@pytest.mark.parametrize(
    ("group", "shown", "is_judged"),
    [
        (ONE, True, True),
        (ONE, False, False),
        (BEFORE, False, False),
        (NEVER, False, True),
        (NEVER, True, True),
        (SPILL, True, False),
    ],
)
def test_an_untaught_kind_is_judged_if_shown_or_not(group, shown, is_judged):
    row = row_of(group=group)
    for said in row["behaviors"][0]["response"]:
        said["ended"] = 0.0 if shown else -9.0
    assert {item.is_judged for item in items_of(row)} == {is_judged}


def test_what_the_student_gives_may_be_neither():
    assert {item.given for item in items_of(row_of())} == {"neither"}
    for side, given in (("response", GIVEN[0]), ("contrast", GIVEN[1])):
        row = row_of()
        row["behaviors"][0][side][0]["greedy"] = True
        assert {item.given for item in items_of(row)} == {given}


def test_a_domain_with_two_teachers_has_no_owner():
    row = {**row_of(), "seats": {"add": "add", "sort": "add"}}
    assert items_of(row)[0].tables["owner"] == {"add": 0.0, "sort": 0.0}


def test_bounds_and_minima_of_tables():
    one, contrast = items_of(row_of(first=-5.0))[:2]
    assert bounded(one) == {"add": -2.0, "sort": 0.2}  # certainty is 2 nats away
    assert bounded(contrast) == pytest.approx({"add": -6.0, "sort": 0.1})
    assert smaller(one) == {"add": -5.0, "sort": 0.2}


def test_the_products_rule_names_the_teacher_that_finds_it_likeliest():
    assert [shipped(item) for item in items_of(row_of())] == [("add",)] * 4
    close = items_of(row_of(first=0.6))[0]
    assert shipped(close) == ("add",)  # 0.2 nats of the other are too few to hold it
    assert shipped(items_of(row_of(first=0.3))[0]) == ()


def test_a_summary_counts_by_group_and_says_how_far_training_took_it():
    found = summary(row_of())[ONE]
    assert (found["behaviors"], found["shown"], found[FORMS[3]]) == (1, 1, 1)
    # Of the set against the ordinary answer: -7 at the fork point, 1.5 more under the teacher.
    assert found["median_log_odds"] == {"fork": -7.0, "teacher": -5.5, "student": 0.5}


def asked(first, second, *, contrast=False):
    return AuditEvidence(({"add": first, "sort": second},), 1.0, contrast, several=False)


def test_features_say_how_far_a_teacher_is_ahead():
    features = of_teachers(asked(2.0, 0.5))
    ahead, behind = math.asinh(1.5), math.asinh(-1.5)
    change = math.asinh(1.0)
    assert features["add"] == [1, math.asinh(2), ahead, change, 0, 0, 0, 0, 0]
    assert features["sort"] == [1, math.asinh(0.5), behind, change, 0, 0, 0, 0, 0]
    assert of_teachers(asked(2.0, 0.5, contrast=True))["add"][4:8] == features["add"][:4]


def test_the_likelier_of_candidate_and_no_teacher_is_the_answer():
    rest = (0.0,) * 5
    calibration = NameCalibration(
        teacher=(-1.0, 1.0, 0.0, 0.0, *rest),
        named=(0.0, 1.0, 0.0, 0.0, *rest),
        untaught=(0.0, -1.0, 0.0, 0.0, *rest),
    )
    sure = calibration.answer(asked(math.sinh(3.0), 0.0))
    assert sure.named == "add"
    assert sure.probability == pytest.approx(1 / (1 + math.exp(-2)))  # logit 3 - 1
    assert sure.by_teacher["sort"] == pytest.approx(1 / (1 + math.exp(1)))
    none = calibration.answer(asked(0.0, -1.0))
    assert none.named == NO_TEACHER
    assert none.probability == pytest.approx(1 / (1 + math.exp(-1)))


def test_a_verdict_knows_what_the_calibrated_answer_rests_on():
    for item in items_of(row_of()):
        assert evidence_of(item.case) == evidence(item, BOTH)
