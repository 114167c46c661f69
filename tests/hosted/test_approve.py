"""``provost approve``: what waits is shown, the decision is recorded, then Flyte is told."""

import pytest
from admin import serving
from click.testing import CliRunner
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import LiteralMap
from test_failure_records import made

from lineage.graph import Lineage
from tasks.gate.forecast import Forecast, Machine
from tasks.gate.summary import summary_of
from tasks.handover import Gated, Note, Plan, PlannedTeacher, TeacherVerdict, Verdict
from tasks.step import Bench
from workflows.cli import main

REVIEW = "review-the-plan"
COST = Forecast(
    parameters=1,
    teacher_parameters=1,
    tokens_per_step=1.0,
    operations=120.0,
    machine=Machine(name="a cpu", gpus=0, operations_per_second=2.0, known_by="a test"),
    memory=0,
    storage=0,
)


@pytest.fixture
def admin(monkeypatch):
    with serving() as (service, address):
        monkeypatch.setenv("FLYTE_PLATFORM_URL", address)
        monkeypatch.setenv("FLYTE_PLATFORM_INSECURE", "true")
        yield service


@pytest.fixture
def gated():
    checkpoint, data = made("checkpoint"), made("dataset")
    teacher = PlannedTeacher(
        name="math",
        domain="math",
        reference="teacher.math@3",
        owner="team-math",
        release=made("release"),
        checkpoint=made("checkpoint", "math"),
        ladder=[],
        **dict.fromkeys(("environment", "train", "validation", "evaluation"), data),
    )
    finding = Note(
        code="overlap", severity="warning", subject="math", evidence="shared", next_step="look"
    )
    plan = Plan(
        artifact=made("plan"),
        fork_point=checkpoint,
        student=checkpoint,
        teachers=[teacher],
        notes=[finding],
    )
    verdict = TeacherVerdict(
        name="math", domain="math", verdict=Verdict.FITS, predicted=0.97, low=0.91, high=1.0
    )
    passed = Gated(plan=plan, report=made("gate"), teachers=[verdict])
    return passed.model_copy(update={"summary": summary_of(passed, COST)})


def literals(gated):
    context = FlyteContextManager.current_context()
    kind = TypeEngine.to_literal_type(Gated)
    return LiteralMap({"o0": TypeEngine.to_literal(context, gated, Gated, kind)}).to_flyte_idl()


def waiting(admin, gated):
    return admin.ran("f1", "RUNNING", outputs={"gate": literals(gated)}, waiting={REVIEW})


def asked(*options, answer=""):
    command = ["approve", "f1", "--domain", "staging", "--by", "ann", "--reason", "they fit"]
    result = CliRunner().invoke(main, [*command, *options], input=answer)
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.output


def approvals():
    bench = Bench()
    records = Lineage(bench.store).index.of_kind("approval")
    return [bench.records.read(record) for record in records]


def test_the_summary_comes_first_and_says_what_is_approved(gated):
    assert next(iter(Gated.model_fields)) == "summary"
    lines = gated.summary.splitlines()
    assert len(lines) <= 10
    assert lines[0] == "Merge 1 teachers into one student."
    assert lines[1] == ("teacher.math@3: fits, expected to pass on 0.97 of its gain (0.91 to 1.00)")
    assert "Findings: 0 refusals, 1 warnings (overlap)." in lines
    assert any("1m" in line or "60" in line for line in lines if line.startswith("Cost"))


def test_who_approves_is_asked_and_recorded_before_flyte_hears_of_it(admin, gated):
    kept = waiting(admin, gated)
    code, told = asked(answer="y\n")
    assert code == 0, told
    assert gated.summary.splitlines()[1] in told
    assert kept.given == {REVIEW: True}
    [approval] = approvals()
    assert [(item.role, item.artifact) for item in approval.inputs] == [
        ("plan", gated.plan.artifact.digest)
    ]
    said = approval.settings
    assert (said["decision"], said["by"], said["reason"]) == ("approved", "ann", "they fit")
    assert said["execution"] == "consolidation/staging/f1"


def test_who_says_no_has_decided_nothing(admin, gated):
    kept = waiting(admin, gated)
    assert asked(answer="n\n")[0] == 1
    assert (kept.given, approvals()) == ({}, [])


def test_a_rejection_is_recorded_too(admin, gated):
    kept = waiting(admin, gated)
    assert asked("--reject", "--yes")[0] == 0
    assert kept.given == {REVIEW: False}
    assert [each.settings["decision"] for each in approvals()] == ["rejected"]


def test_before_the_gate_there_is_nothing_to_approve_and_it_is_said_in_a_sentence(admin, gated):
    admin.ran("f1", "RUNNING")
    code, told = asked("--yes")
    assert code == 1
    assert "--wait" in told
    assert "StatusCode" not in told


def test_an_execution_that_has_ended_is_not_waited_for(admin):
    admin.ran("f1", "ABORTED", cause="wrong")
    code, told = asked("--yes", "--wait", "60")
    assert code == 1
    assert "ABORTED" in told


def test_an_execution_that_is_not_there_is_said(admin):
    code, told = asked("--yes")
    assert code == 1
    assert "f1" in told
    assert len(told.splitlines()) == 1


def test_an_empty_reason_is_refused(admin, gated):
    waiting(admin, gated)
    code, told = asked("--yes", "--reason", " ")
    assert code == 1
    assert "--reason" in told
    assert approvals() == []
