"""Whether what came lies where it was expected."""

import pytest

from tasks.contracts.handover import Remedy, Verdict
from tasks.gate.outcome import TeacherOutcome


def outcome(**told):
    """Return a teacher's, of which 0.95 (0.9 to 1) was expected unless told otherwise."""
    usual = {"verdict": Verdict.FITS, "predicted": 0.95, "low": 0.9, "high": 1.0}
    usual["done"] = Remedy.NONE
    named = {"name": "math", "reference": "teacher.math@1", "domain": "math"}
    return TeacherOutcome(**named, **usual | told)


@pytest.mark.parametrize(
    ("actual", "surprised"),
    [(0.89, True), (0.9, False), (1.0, False), (1.2, False), (-0.3, True), (None, False)],
)
def test_what_came_outside_of_the_interval_surprises(actual, surprised):
    """A share above 1 or below 0 counts as 1 or 0: the prediction knows no other."""
    assert outcome(actual=actual).surprised is surprised


def test_what_was_expected_without_a_remedy_says_nothing_about_a_remedied_teacher():
    misfit = {"verdict": Verdict.FITS_AFTER_REMEDY, "done": Remedy.WARM_UP}
    assert not outcome(**misfit, actual=0.1).surprised


def test_where_nothing_was_expected_nothing_surprises():
    unknown = {"verdict": Verdict.UNKNOWN, "predicted": None, "low": None, "high": None}
    assert not outcome(**unknown, actual=0.1).surprised
