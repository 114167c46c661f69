"""Verdicts, each from numbers that ask for it."""

import math

import pytest

from tasks.contracts.handover import Remedy, Verdict
from tasks.gate.measured import SwapRow
from tasks.gate.prediction import features, predict, stored_calibration
from tasks.gate.verdict import GateSettings, judge
from tasks.model.relation import Ancestry
from tests.support.measures import SWAP, calibration, measured


def judged(measure=None, **told):
    return judge(measure or measured(), "teacher.math@3", GateSettings(), calibration(**told))


def codes(found):
    return [reason.code for reason in found.reasons]


def test_a_teacher_with_a_high_prediction_fits():
    found = judged(bias=3.0)
    assert found.verdict is Verdict.FITS
    assert found.remedy is Remedy.NONE
    assert found.prediction.score == pytest.approx(1 / (1 + math.exp(-3)))
    assert not found.reasons


def test_a_teacher_with_a_low_prediction_needs_a_remedy():
    found = judged(bias=0.0)
    assert found.verdict is Verdict.FITS_AFTER_REMEDY
    assert found.remedy is Remedy.WARM_UP
    assert codes(found) == ["measured-misfit"]
    assert "50% of its gain" in found.reasons[0].evidence


@pytest.mark.parametrize(
    ("reading", "scores", "code"),
    [
        ({"finite": False, "from_uniform": math.nan}, {}, "teacher-not-finite"),
        ({"from_uniform": 0.01}, {}, "teacher-uniform"),
        ({"unsteady": 0.01}, {}, "teacher-unsteady"),
        ({}, {"difference": 0.09}, "no-gain"),
        ({}, {"difference": -0.2}, "no-gain"),
    ],
)
def test_what_no_prediction_outweighs(reading, scores, code):
    found = judged(measured(reading, scores))
    assert found.verdict is Verdict.DOES_NOT_FIT
    assert found.prediction is None
    assert found.remedy is Remedy.DROP
    assert code in codes(found)


def test_a_gain_is_clear_from_two_standard_errors_on():
    assert judged(measured({}, {"difference": 0.11})).verdict is Verdict.FITS


BETTER_EXPLAINED = SwapRow(
    tokens=99, log_likelihood={"math": -0.9, "code": -0.1}, errors={}, suspect="code"
)


def test_a_swapped_path_is_named():
    found = judged(measured({}, {"difference": 0.0}, swap=BETTER_EXPLAINED))
    assert found.verdict is Verdict.DOES_NOT_FIT
    assert codes(found) == ["swapped-path", "no-gain"]
    assert found.reasons[0].evidence.startswith("code ")


@pytest.mark.parametrize(
    ("bias", "verdict"), [(3.0, Verdict.FITS), (0.0, Verdict.FITS_AFTER_REMEDY)]
)
def test_one_that_scores_more_in_other_words_is_left_to_the_prediction(bias, verdict):
    found = judged(measured(swap=BETTER_EXPLAINED), bias=bias)
    assert found.verdict is verdict
    assert "other-words" in codes(found)
    assert "swapped-path" not in codes(found)
    [told] = [reason for reason in found.reasons if reason.code == "other-words"]
    assert told.severity == "warning"
    assert "scores 0.50 more than the student" in told.evidence


LEARNED = {"kl": 0.019}


@pytest.mark.parametrize("difference", [0.1, 0.0, -0.1])  # of two standard errors
def test_what_the_student_has_learned_already_fits_and_keeps_it(difference):
    found = judged(measured(LEARNED, {"difference": difference}))
    assert found.verdict is Verdict.FITS
    assert found.prediction is None
    assert codes(found) == ["nothing-left"]
    assert found.reasons[0].severity == "note"
    assert "0.019 nats" in found.reasons[0].evidence


@pytest.mark.parametrize(
    ("reading", "scores", "swap"),
    [
        ({"kl": 0.021}, {"difference": 0.0}, SWAP),  # as good, but it says other things
        (LEARNED, {"difference": -0.11}, SWAP),  # says nearly the same, and is worse
        (LEARNED, {"difference": 0.0}, None),  # nobody looked whose words these are
    ],
)
def test_one_without_a_gain_that_is_not_clearly_learned_is_refused(reading, scores, swap):
    assert codes(judged(measured(reading, scores, swap=swap))) == ["no-gain"]


def test_anothers_teacher_near_the_student_is_not_taken_for_learned():
    swap = SWAP.model_copy(update={"suspect": "code"})
    found = judged(measured(LEARNED, {"difference": 0.0}, swap=swap))
    assert set(codes(found)) == {"swapped-path", "no-gain"}


def test_a_contradicted_parent_is_a_refusal_of_its_own_beside_the_verdict():
    ancestry = Ancestry(
        declared="math sft",
        distance=0.04,
        projection=0.1,
        nearest="code sft",
        nearest_distance=0.01,
        contradicted=True,
    )
    found = judged(measured(ancestry=ancestry))
    assert found.verdict is Verdict.FITS
    assert codes(found) == ["contradicted-ancestry"]
    assert "keeps 10%" in found.reasons[0].evidence
    assert "code sft is nearer" in found.reasons[0].evidence


def test_numbers_unlike_all_that_was_merged_give_no_verdict():
    # The fitted widths are 2, so 3 beyond an edge is too far and 2 is not.
    far = measured({"kl": 0.2 * math.exp(3.1)})
    assert judged(far).verdict is Verdict.UNKNOWN
    assert "log_kl" in judged(far).reasons[0].evidence
    assert judged(measured({"kl": 0.2 * math.exp(2.9)})).verdict is Verdict.FITS


def test_the_prediction_is_the_logistic_of_the_weighed_features():
    found = predict(measured({"kl": 0.2 * math.e}), calibration(bias=1.0, weight=-2.0))
    assert found.score == pytest.approx(1 / (1 + math.e))  # 1 - 2 x 1
    assert found.low == pytest.approx(found.score - 0.1644854)
    assert found.high == pytest.approx(found.score + 0.1644854)


@pytest.mark.parametrize(
    ("nats", "score"),
    [
        (0.1 * math.e, 1 / (1 + math.e)),  # one e-fold more than in the middle, 0.1: 1 - 2 x 1
        (0.03, 1 / (1 + math.exp(-1 - 2 * math.log(0.1 / 0.03)))),
        (0.001, 1 / (1 + math.exp(-1 - 2 * math.log(0.1 / 0.03)))),  # as good as certain
    ],
)
def test_the_less_likely_the_students_right_answers_are_the_less_is_expected(nats, score):
    told = calibration(bias=1.0)
    told = told.model_copy(update={"weights": told.weights | {"log_well": -2.0}})
    swap = SWAP.model_copy(update={"log_likelihood": {"math": -nats, "code": -0.9}})
    assert predict(measured(swap=swap), told).score == pytest.approx(score)


@pytest.mark.parametrize(
    ("difference", "error", "chance"),
    [
        (0.0, 0.05, 0.5),
        (0.05, 0.05, 0.8413447),  # one standard error, of a normal distribution's table
        (-0.05, 0.05, 0.1586553),
        (0.01, 0.0, 1.0),
        (0.0, 0.0, 0.0),
    ],
)
def test_a_gain_that_may_be_none_is_expected_with_its_chance(difference, error, chance):
    scores = {"difference": difference, "error": error}
    found = predict(measured({}, scores), calibration(bias=0.0))
    assert found.score == pytest.approx(0.5 * chance)


def test_a_student_without_right_answers_leaves_it_unknown():
    # Nobody can say whether the teacher would find them likely; the rest is as in the middle.
    found = predict(measured(swap=None), calibration(bias=0.0, weight=-2.0))
    assert found.outside == ("log_well",)
    assert found.score == pytest.approx(0.5)
    [unknown] = judged(measured(swap=None)).reasons
    assert unknown.code == "gate-unknown"


def test_the_calibration_that_is_shipped_says_where_it_comes_from():
    found = stored_calibration()
    assert found.provenance["command"] == "python benchmarks/gate.py calibrate"
    assert found.provenance["cases"] >= 15
    assert set(found.weights) == set(found.centers) == set(found.scales)
    assert set(found.weights) <= set(features(measured()))
    assert set(found.least) == set(found.most) == set(features(measured()))


FOREIGN_FORK = Ancestry(
    declared="the fork point of math",
    distance=0.4,
    projection=0.0,
    nearest="another fork point",
    nearest_distance=0.1,
    contradicted=True,
)


@pytest.mark.parametrize("scores", [{}, {"difference": 0.0}])
def test_a_contradicted_fork_point_is_refused_and_does_not_change_the_verdict(scores):
    plain = judged(measured({}, scores))
    found = judged(measured({}, scores, fork_point=FOREIGN_FORK))
    assert (found.verdict, found.remedy) == (plain.verdict, plain.remedy)
    assert codes(found) == [*codes(plain), "contradicted-fork-point"]
    assert found.reasons[-1].severity == "refusal"
    assert FOREIGN_FORK.summary in found.reasons[-1].evidence


def test_a_confirmed_fork_point_gives_no_finding():
    confirmed = FOREIGN_FORK.model_copy(update={"contradicted": False})
    assert judged(measured(fork_point=confirmed)) == judged()
