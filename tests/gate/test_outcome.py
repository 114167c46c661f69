"""Verdicts and outcomes of stores from when the gate predicted a share of the gain."""

from tasks.contracts.handover import Remedy, TeacherVerdict, Verdict
from tasks.gate.outcome import TeacherOutcome

PREDICTED = {"predicted": 0.95, "low": 0.9, "high": 1.0}


def test_an_outcome_of_before_is_read_without_its_prediction():
    named = {"name": "math", "reference": "teacher.math@1", "domain": "math"}
    judged = {"verdict": "fits", "done": "none", "actual": 0.89, "surprised": True}
    found = TeacherOutcome.model_validate(named | PREDICTED | judged)
    assert (found.verdict, found.done, found.actual) == (Verdict.FITS, Remedy.NONE, 0.89)


def test_a_verdict_of_before_is_read_without_its_prediction():
    stored = {"name": "math", "domain": "math", "verdict": "fits", "proposed": "none"}
    found = TeacherVerdict.model_validate(stored | PREDICTED)
    assert found == TeacherVerdict(name="math", domain="math", verdict=Verdict.FITS)


def test_the_lead_has_its_interval_in_words():
    measured = {"lead": 0.5, "lead_low": -0.125, "lead_high": 1.125}
    named = {"name": "math", "domain": "math", "verdict": Verdict.FITS}
    assert TeacherVerdict(**named, **measured).lead_words == "+0.50 (-0.12 to +1.12)"
    assert TeacherVerdict(**named).lead_words == "not measured"
