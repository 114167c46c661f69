"""When a student is released by itself: verdicts, shares of the gain, the student before."""

import pytest

from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.handover import Remedy, TeacherVerdict, Verdict
from tasks.evaluate.consider import unmet_predecessor, unmet_scores, unmet_verdicts
from tasks.statistics import Interval
from tests.support.scorecard_example import DOMAINS, example_scorecard

DEFAULT = ReleaseConditions()
GOOD = (0.90, 0.84, 0.87, 0.93)
TEACHER_LIKE_FORK = (0.42, 0.36, 0.31, 0.48)


def verdict(verdict, done=Remedy.NONE, name="roman"):
    return TeacherVerdict(name=name, domain=name, verdict=verdict, done=done)


GOOD_AFTER, BAD_AFTER = ({"roman": v} for v in (Verdict.FITS_AFTER_REMEDY, Verdict.DOES_NOT_FIT))


@pytest.mark.parametrize(
    ("found", "waived", "remedied", "holds"),
    [
        (verdict(Verdict.FITS), set(), {}, True),
        (verdict(Verdict.UNKNOWN), set(), {}, False),
        (verdict(Verdict.DOES_NOT_FIT), set(), {}, False),
        (verdict(Verdict.FITS_AFTER_REMEDY), set(), {}, False),
        # A remedy that was applied and not measured proves nothing.
        (verdict(Verdict.FITS_AFTER_REMEDY, Remedy.WARM_UP), set(), {}, False),
        (verdict(Verdict.UNKNOWN, Remedy.WARM_UP), set(), {}, False),
        (verdict(Verdict.UNKNOWN, Remedy.WARM_UP), set(), BAD_AFTER, False),
        (verdict(Verdict.UNKNOWN, Remedy.WARM_UP), set(), GOOD_AFTER, True),
        (verdict(Verdict.FITS_AFTER_REMEDY, Remedy.WARM_UP), set(), GOOD_AFTER, True),
        (verdict(Verdict.UNKNOWN, Remedy.WARM_UP, "spell"), set(), GOOD_AFTER, False),
        (verdict(Verdict.DOES_NOT_FIT, Remedy.DROP), set(), {}, True),
        (verdict(Verdict.UNKNOWN), {"roman"}, {}, True),
        (verdict(Verdict.UNKNOWN), {"math"}, {}, False),
    ],
)
def test_a_teacher_that_was_not_found_to_fit_holds_the_student_back(found, waived, remedied, holds):
    assert (not list(unmet_verdicts([found], waived, remedied))) == holds


def unmet(student, own=(), conditions=DEFAULT):
    card = example_scorecard(student=student)
    return [each.why.partition(" ")[0] for each in unmet_scores(card, own, conditions)]


def test_a_good_student_is_released():
    assert unmet(GOOD) == []


def test_a_domain_that_nothing_arrived_in_holds_the_student_back():
    """The newcomer's student: one domain at 0.00 and three good ones."""
    assert unmet((0.90, 0.0, 0.87, 0.93)) == ["code", "overall"]


def test_each_least_share_is_a_setting():
    lax = ReleaseConditions(release_least_normalized=0.0, release_least_overall=0.0)
    assert unmet(TEACHER_LIKE_FORK) == [*DOMAINS, "overall"]
    assert unmet((0.9, 0.9, 0.9, 0.9), conditions=lax) == []


def test_a_domain_that_the_student_teaches_itself_has_no_gain_to_take():
    assert unmet((0.90, 0.0, 0.87, 0.93), own=["code", "overall"]) == []


def against(differences, missing=(), conditions=DEFAULT):
    found = unmet_predecessor("student.general@1", differences, missing, conditions)
    return [each.why.partition(" ")[0] for each in found]


def test_worse_than_the_student_before_beyond_the_interval_holds_it_back():
    worse, perhaps = Interval(-0.2, -0.3, -0.1, 500), Interval(-0.02, -0.05, 0.01, 500)
    better = Interval(0.2, 0.1, 0.3, 500)
    assert against({"math": better, "code": perhaps}) == []
    assert against({"math": better, "code": worse}) == ["code"]
    assert against({}) == []


def test_a_domain_that_the_student_before_had_and_this_one_has_not_holds_it_back():
    assert against({}, ["agent"]) == ["student.general@1"]
    assert against({}, ["agent"], ReleaseConditions(release_keep_domains=False)) == []
