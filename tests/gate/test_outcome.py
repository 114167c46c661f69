"""Whether what came lies where it was expected."""

import pytest

from tasks.gate.outcome import TeacherOutcome
from tasks.handover import Cure, Verdict


@pytest.mark.parametrize(
    ("actual", "surprised"),
    [(0.89, True), (0.9, False), (1.0, False), (1.2, False), (-0.3, True), (None, False)],
)
def test_what_came_outside_of_the_interval_surprises(actual, surprised):
    """A share above 1 or below 0 counts as 1 or 0: the prediction knows no other."""
    found = TeacherOutcome(
        name="math",
        reference="teacher.math@1",
        domain="math",
        verdict=Verdict.FITS,
        done=Cure.NONE,
        predicted=0.95,
        low=0.9,
        high=1.0,
        actual=actual,
    )
    assert found.surprised is surprised


def test_where_nothing_was_expected_nothing_surprises():
    found = TeacherOutcome(
        name="math",
        reference="teacher.math@1",
        domain="math",
        verdict=Verdict.UNKNOWN,
        done=Cure.NONE,
        predicted=None,
        low=None,
        high=None,
        actual=0.1,
    )
    assert not found.surprised
