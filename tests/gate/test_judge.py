"""Verdicts, each from numbers that ask for it."""

import math

import pytest

from tasks.gate.judge import GateSettings, judge
from tasks.gate.measured import Ancestry, SwapRow
from tasks.gate.prediction import predict, stored_calibration
from tasks.handover import Cure, Verdict
from tests.gate.measures import SWAP, calibration, measured


def judged(measure=None, **told):
    return judge(measure or measured(), "teacher.math@3", GateSettings(), calibration(**told))


def codes(found):
    return [reason.code for reason in found.reasons]


def test_a_teacher_of_whom_much_is_expected_fits():
    found = judged(bias=3.0)
    assert found.verdict is Verdict.FITS
    assert found.cure is Cure.NONE
    assert found.prediction.score == pytest.approx(1 / (1 + math.exp(-3)))
    assert not found.reasons


def test_one_of_whom_little_is_expected_needs_a_remedy():
    found = judged(bias=0.0)
    assert found.verdict is Verdict.FITS_AFTER_REMEDY
    assert found.cure is Cure.WARM_UP
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
    assert found.cure is Cure.DROP
    assert code in codes(found)


def test_a_gain_is_clear_from_two_standard_errors_on():
    assert judged(measured({}, {"difference": 0.11})).verdict is Verdict.FITS


def test_a_swapped_path_is_named():
    swap = SwapRow(
        tokens=99, log_likelihood={"math": -0.9, "code": -0.1}, errors={}, suspect="code"
    )
    found = judged(measured(swap=swap))
    assert codes(found) == ["swapped-path"]
    assert "code explains the well graded answers of math" in found.reasons[0].evidence


LEARNED = {"kl": 0.019}


@pytest.mark.parametrize("difference", [0.1, 0.0, -0.1])  # of two standard errors
def test_what_the_student_has_learned_already_fits_and_keeps_it(difference):
    found = judged(measured(LEARNED, {"difference": difference}))
    assert found.verdict is Verdict.FITS
    assert found.prediction is None
    assert codes(found) == ["nothing-left"]
    assert found.reasons[0].severity == "note"
    assert "0.019 nats a token apart" in found.reasons[0].evidence


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
    assert "10% is in it" in found.reasons[0].evidence
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
    assert found.low == pytest.approx(found.score - 0.1645)
    assert found.high == pytest.approx(found.score + 0.1645)


def test_the_calibration_that_is_shipped_says_where_it_comes_from():
    found = stored_calibration()
    assert found.provenance["command"] == "python benchmarks/gate.py calibrate"
    assert found.provenance["cases"] >= 15
    assert set(found.weights) == set(found.centers) == set(found.least) == set(found.most)
