"""Verdicts, each from numbers that ask for it."""

import math

import pytest

from tasks.contracts.handover import Remedy, Verdict
from tasks.gate.measured import SwapRow
from tasks.gate.verdict import GateSettings, judge
from tasks.model.relation import Ancestry
from tests.support.measures import SWAP, measured


def judged(measure=None):
    return judge(measure or measured(), "teacher.math@3", GateSettings())


def codes(found):
    return [reason.code for reason in found.reasons]


def test_a_teacher_that_is_ahead_in_the_students_words_fits():
    found = judged()
    assert found.verdict is Verdict.FITS
    assert found.remedy is Remedy.NONE
    assert not found.reasons


@pytest.mark.parametrize(
    ("reading", "scores", "code"),
    [
        ({"finite": False, "from_uniform": math.nan}, {}, "teacher-not-finite"),
        ({"from_uniform": 0.01}, {}, "teacher-uniform"),
        ({"unsteady": 0.01}, {}, "teacher-unsteady"),
        ({}, {"difference": 0.0}, "no-gain"),
        ({}, {"difference": -0.2}, "no-gain"),
    ],
)
def test_what_no_remedy_helps(reading, scores, code):
    found = judged(measured(reading, scores))
    assert found.verdict is Verdict.DOES_NOT_FIT
    assert found.remedy is Remedy.DROP
    assert code in codes(found)


def test_a_gain_is_clear_from_two_standard_errors_on():
    assert judged(measured({}, {"difference": 0.11})).verdict is Verdict.FITS


def test_a_lead_within_two_standard_errors_is_left_open_with_the_prompts_that_would_tell():
    found = judged(measured({}, {"prompts": 32, "difference": 0.08}))
    assert (found.verdict, found.remedy) == (Verdict.UNKNOWN, Remedy.WARM_UP)
    [told] = found.reasons
    assert (told.code, told.severity) == ("gain-unclear", "refusal")
    assert "a lead of 0.08 with 2 standard errors of 0.10" in told.evidence
    # 2 x 32 x (0.1 / 0.08)^2
    assert "about 100 prompts" in told.next_step


def test_a_lead_that_is_left_open_is_not_tested_for_other_words_either():
    found = judged(measured({}, {"difference": 0.08}, swap=None))
    assert found.verdict is Verdict.UNKNOWN
    assert codes(found) == ["gain-unclear", "gate-unknown"]


BETTER_EXPLAINED = SwapRow(
    tokens=99, log_likelihood={"math": -0.9, "code": -0.1}, errors={}, suspect="code"
)


def test_a_swapped_path_is_named():
    found = judged(measured({}, {"difference": 0.0}, swap=BETTER_EXPLAINED))
    assert found.verdict is Verdict.DOES_NOT_FIT
    assert codes(found) == ["swapped-path", "no-gain"]
    assert found.reasons[0].evidence.startswith("code ")


def test_one_that_scores_more_in_other_words_needs_a_warm_up():
    found = judged(measured(swap=BETTER_EXPLAINED))
    assert (found.verdict, found.remedy) == (Verdict.FITS_AFTER_REMEDY, Remedy.WARM_UP)
    [told] = found.reasons
    assert (told.code, told.severity) == ("other-words", "refusal")
    assert "scores 0.50 more than the student" in told.evidence
    assert "(-0.10 against -0.90 nats per token)" in told.evidence


@pytest.mark.parametrize("reading", [{"kl": 9.0}, {"forward_kl": 9.0}, {"overlap": 0.0}])
def test_no_distance_decides_by_itself(reading):
    assert judged(measured(reading)) == judged()


LEARNED = {"kl": 0.019}


@pytest.mark.parametrize("difference", [0.1, 0.0, -0.1])  # of two standard errors
def test_what_the_student_has_learned_already_fits_and_keeps_it(difference):
    found = judged(measured(LEARNED, {"difference": difference}))
    assert found.verdict is Verdict.FITS
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


def test_a_student_without_right_answers_leaves_it_unknown():
    found = judged(measured(swap=None))
    assert (found.verdict, found.remedy) == (Verdict.UNKNOWN, Remedy.WARM_UP)
    assert codes(found) == ["gate-unknown"]
    assert found.reasons[0].severity == "refusal"


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


@pytest.mark.parametrize(
    ("of", "code"), [("ancestry", "doubtful-ancestry"), ("fork_point", "doubtful-fork-point")]
)
def test_weights_like_those_of_a_sibling_are_a_warning_beside_the_verdict(of, code):
    changes = {"contradicted": False, "doubtful": True, "projection": 0.9, "cosine": 0.5}
    found = judged(measured(**{of: FOREIGN_FORK.model_copy(update=changes)}))
    assert (found.verdict, codes(found)) == (Verdict.FITS, [code])
    assert found.reasons[0].severity == "warning"
    assert "cosine 0.50" in found.reasons[0].evidence


def test_a_confirmed_fork_point_gives_no_finding():
    confirmed = FOREIGN_FORK.model_copy(update={"contradicted": False})
    assert judged(measured(fork_point=confirmed)) == judged()
