"""A teacher that climbed again from the student of an earlier round, by RL alone."""

import pytest

from lineage.artifacts import Release, read_manifest
from lineage.rules.evidence import BrokenRuleError
from tests.support.runs import Climbed


def climbed_again(make, data_of):
    """Return a climb of math from a student that learned by SFT from ``data_of``'s data."""
    base = make.checkpoint(70)
    math, code = Climbed(make, base, "math", 7), Climbed(make, base, "code", 8)
    learned = {"math": math, "code": code}[data_of].domain.demonstrations
    start = make.checkpoint(90, owner="foundation", inputs=[("start", base), ("data", learned)])
    student = make.checkpoint(91, "mopd", "consolidation", [("student", start)])
    math.fork_point = math.precursor = student
    math.ladder = [math._rung(10, 92), math._rung(20, 93)]
    math.scorecard = math._card()
    return math, student


def test_it_is_released_with_the_student_as_its_fork_point(make):
    again, student = climbed_again(make, "math")
    manifest = read_manifest(make.runner.store, again.release().digest, Release)
    assert manifest.fork_point == manifest.precursor == student


def test_a_student_that_never_learned_the_declared_data_is_refused_as_start(make):
    again, _ = climbed_again(make, "code")
    with pytest.raises(BrokenRuleError) as caught:
        again.release()
    assert caught.value.rules == {"learned"}
