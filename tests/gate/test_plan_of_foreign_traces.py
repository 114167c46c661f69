"""A plan says where a teacher or the student descends from answers of a closed model."""

import json

import pytest

from lineage.declared import DeclaredTraces
from tasks.distil_traces.settings import ForeignTraces
from tasks.distil_traces.steps import import_traces
from tasks.gate.plan import make_plan
from tasks.platform.step_runner import StepRunner
from tests.gate.test_plan import Faculty
from tests.support.making import take, write_record
from tests.support.mirrors import MemoryMirror

CODE = "foreign-traces"


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


@pytest.fixture
def faculty(runner):
    return Faculty(runner)


@pytest.fixture
def distilled(runner, faculty, tmp_path):
    """Return an SFT on traces of a closed model, from the fork point."""
    row = {
        "messages": [{"role": "user", "content": "9+9"}],
        "turns": [{"role": "assistant", "content": "18"}],
    }
    file = tmp_path / "closed.jsonl"
    file.write_text(json.dumps(row) + "\n")
    declared = DeclaredTraces(origin="Oracle 4", license="proprietary")
    traces = import_traces(runner, ForeignTraces(file=str(file), declared=declared))
    mixed = write_record(
        runner.store, b"rows", take("data", (traces.record, traces.digest)), kind="traces"
    )
    return faculty.checkpoint("distilled", 5, faculty.fork_point, mixed)


def findings(plan):
    return [(note.subject, note.severity) for note in plan.notes if note.code == CODE]


def test_a_teacher_that_learned_from_a_closed_model_is_named(runner, faculty, distilled):
    faculty.teacher("math", 1, parent=distilled, declared=faculty.fork_point)
    faculty.teacher("code", 2)
    plan = make_plan(runner, ["math@1", "code@1"], "fork-point@1")
    assert findings(plan) == [("teacher.math@1", "warning")]
    [finding] = [note for note in plan.notes if note.code == CODE]
    for word in ("Oracle 4", "license: proprietary", "ancestry", "sampling"):
        assert word in finding.evidence


def test_a_student_that_did_is_named_once_and_teachers_of_it_are_not(runner, faculty, distilled):
    faculty.register("distilled", distilled, "checkpoint")
    faculty.teacher("math", 1, parent=distilled)
    assert findings(make_plan(runner, ["math@1"], "distilled@1")) == [("student", "warning")]
    assert findings(make_plan(runner, ["math@1=self"], "distilled@1")) == [("student", "warning")]


def test_a_declaration_that_cannot_be_read_stops_no_plan(runner, faculty):
    traces = write_record(
        runner.store, b"rows", kind="foreign_traces", output_kind="dataset", declared={"x": 1}
    )
    faculty.teacher(
        "math", 1, parent=faculty.checkpoint("d", 5, faculty.fork_point, traces),
        declared=faculty.fork_point,
    )  # fmt: skip
    assert findings(make_plan(runner, ["math@1"], "fork-point@1")) == [
        ("teacher.math@1", "warning")
    ]
