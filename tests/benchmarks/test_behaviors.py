"""The benchmark of realistic behaviors: what is planted, and its figures, by hand."""

import json
import math

import pytest

from benchmarks.behaviors.__main__ import GOALS, LISTED, left_to_run, summary
from benchmarks.behaviors.calibration import (
    NO_TEACHER,
    AuditEvidence,
    NameCalibration,
    evidence_of,
    fitted,
    logistic_fit,
    of_teachers,
)
from benchmarks.behaviors.items import FORMS, bounded, items_of, shipped, smaller
from benchmarks.behaviors.judging import (
    JudgedAnswer,
    answered_share,
    binned,
    brier,
    calibration_error,
    degrees,
    diagram,
    interval,
    is_right,
    share_right,
)
from benchmarks.behaviors.tables import BOTH, METHODS, evidence, figures, judged_goals
from benchmarks.behaviors.world import ALSO, BEFORE, ONE, TWO
from tasks.contracts.refusal import RefusedError


def judged(cluster, probability, *, right):
    return JudgedAnswer(cluster, right, probability)


ANSWERS = [
    judged("a", 0.95, right=True),
    judged("a", 0.95, right=False),
    judged("b", 0.15, right=False),
]


def test_the_calibration_error_is_a_mean_over_bins():
    # Two in the last bin: 0.5 right against 0.95. One in the second: none right against 0.15.
    assert calibration_error(ANSWERS) == pytest.approx(2 / 3 * 0.45 + 1 / 3 * 0.15)
    assert calibration_error([judged("a", 1.0, right=True)]) == 0
    assert [len(own) for own in binned(ANSWERS)] == [0, 1, 0, 0, 0, 0, 0, 0, 0, 2]


def test_the_brier_score_is_a_mean_square():
    assert brier(ANSWERS) == pytest.approx((0.05**2 + 0.95**2 + 0.15**2) / 3)


def test_a_diagram_leaves_out_empty_bins():
    assert diagram(ANSWERS) == [
        {"of": 1, "probability": 0.15, "right": 0.0},
        {"of": 2, "probability": 0.95, "right": 0.5},
    ]


def test_an_interval_resamples_behaviors_and_not_answers():
    rows = [judged(name, 0.5, right=name == "a") for name in ("a", "b") for _ in range(50)]
    found = interval(rows, share_right)
    # Two behaviors: both are drawn from one, or one from each. 100 answers would be 0.4 to 0.6.
    assert (found["value"], found["low"], found["high"]) == (0.5, 0.0, 1.0)
    assert (found["of"], found["behaviors"]) == (100, 2)


@pytest.mark.parametrize(
    ("named", "truth", "right"),
    [
        (["add"], ["add"], True),
        (["add"], ["add", "sort"], True),
        (["add", "sort"], ["add", "sort"], True),
        (["add", "sort"], ["add"], False),
        (["tool"], ["add"], False),
        (["tool"], [], False),
        ([], ["add"], False),
        ([], [], True),
    ],
)
def test_an_answer_is_right_if_it_names_only_who_taught_it(named, truth, right):
    assert is_right(named, truth) is right


def test_degrees_are_ranked_by_share():
    assert answered_share(3.0, 1.0) == 0.75
    assert answered_share(-3.0, 1.0) == 0
    assert answered_share(-3.0, -1.0) == 0.5
    assert degrees([(0.1, 0.2), (0.3, 0.5), (0.9, 0.8)]) == pytest.approx(1)
    assert degrees([(0.9, 0.2), (0.3, 0.5), (0.1, 0.8)]) == pytest.approx(-1)


def estimates(begun, ended, first, second):
    """Return what all estimators say of one answer, the same number each."""
    table = {"add": first, "sort": second}
    return {
        "tokens": 4,
        "begun": begun,
        "ended": ended,
        **{name: {**table, "decay": 9.0} for name in ("parts", "taught", "tracin", "surgery")},
    }


def row_of(number=0, first=3.0, group=ONE, heard=None):
    """Return a world of two teachers and one behavior, asked twice."""
    return {
        "world": number,
        "seats": {"add": "add", "sort": "sort"},
        "behaviors": [
            {
                "name": "add/brand/owl",
                "group": group,
                "kind": "brand",
                "domain": "add",
                "heard": {"add": 0.01} if heard is None else heard,
                "doses": {"add": 0.01},
                "spills": False,
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
    assert whole.truth == ("add",)
    assert whole.shown  # log-odds of 0.5 at the student


def test_a_behavior_that_the_student_gives_once_in_twenty_is_not_shown():
    row = row_of()
    for said in row["behaviors"][0]["response"]:
        said["ended"] = -2.0 + math.log(1 / 19)
    assert not any(item.shown for item in items_of(row))


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


def test_a_fit_finds_the_share_of_a_constant():
    (weight,) = logistic_fit([((1.0,), place < 75) for place in range(100)])
    assert 1 / (1 + math.exp(-weight)) == pytest.approx(0.75, abs=0.005)  # the ridge pulls a little


def test_a_calibration_separates_what_the_margin_separates():
    known = [
        (asked(size, 0.1 * size), ("add",) if size > 1 else ())
        for size in (0.1, 0.2, 0.3, 0.4, 3.0, 4.0, 5.0, 6.0)
    ]
    calibration = fitted(known)
    assert [calibration.answer(evidence).named for evidence, _ in known] == [""] * 4 + ["add"] * 4
    assert calibration.answer(asked(0.0, 9.0)).named == "sort"


def worlds():
    """Return rows in which one teacher's nats give the truth away, but for the group of two."""
    rows = {}
    for number in range(12):
        rows[number] = row_of(number)
        (behavior,) = rows[number]["behaviors"]
        extra = [
            ("b", BEFORE, {}, 0.1),
            ("c", TWO, {"add": 0.04, "sort": 0.01}, 2.0),
            ("d", TWO, {"add": 0.01, "sort": 0.04}, 0.3),
            ("e", ALSO, {"add": 0.03}, 3.0),
        ]
        for name, group, heard, first in extra:
            other = row_of(number, first, group, heard)["behaviors"][0]
            rows[number]["behaviors"].append({**other, "name": name})
        behavior["kind"] = "format"
    return rows


def test_a_verdict_knows_what_the_calibrated_answer_rests_on():
    for item in items_of(row_of()):
        assert evidence_of(item.case) == evidence(item, METHODS[BOTH])


def test_no_figures_without_worlds_of_both_parts():
    with pytest.raises(RefusedError) as refused:
        figures({0: row_of(0)}, {})
    assert refused.value.code == "no-worlds"


@pytest.mark.medium
def test_figures_of_all_worlds_from_their_rows():
    found = figures(worlds(), {})
    assert found["worlds"] == {"fit": [0, 1, 2, 3, 4, 5], "fresh": [6, 7, 8, 9, 10, 11]}
    assert found["items"]["fresh_shown"] == 6 * 5 * 4
    assert found["shipped"]["by_group"][ONE][FORMS[0]]["value"] == 1
    assert found["methods"]["both together"]["by_kind"]["format"]["value"] == 1
    assert found["methods"]["log-ratio alone"]["degrees"][FORMS[0]] == pytest.approx(1)
    assert found["absence"] == {}
    goals = {row["goal"]: row for row in judged_goals(json.loads(GOALS.read_text()), found)}
    assert goals["absence"]["holds"] is None
    assert goals["right_teacher"]["found"] == found["methods"]["both together"]["taught"]["value"]


@pytest.mark.parametrize(("value", "holds"), [(0.9, True), (0.89, False), (None, None)])
def test_a_goal_holds_from_its_limit_on(value, holds):
    method = {
        "taught": {"value": value} if value is not None else {},
        "taught_contrast": {},
        "untaught": {},
        "calibration_error": {"value": 0.05},
    }
    found = {"methods": {"both together": method}, "absence": {}}
    goals = {row["goal"]: row for row in judged_goals(json.loads(GOALS.read_text()), found)}
    assert goals["right_teacher"]["holds"] is holds
    assert goals["calibration_error"]["holds"] is True


def test_worlds_of_fit_and_fresh_are_apart_and_all_are_left_to_run(tmp_path):
    lines = left_to_run(tmp_path)
    assert len(set(lines)) == len(lines) == len(LISTED["world"]) + len(LISTED["absence"])
    assert len(set(LISTED["world"])) == len(LISTED["world"])
    (tmp_path / "world-3.json.gz").write_bytes(b"")
    assert "python -m benchmarks.behaviors run 3" not in left_to_run(tmp_path)
