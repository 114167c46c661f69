"""``provost approve``: what waits is shown, the decision is recorded, then Flyte is told."""

import json

import pytest
from click.testing import CliRunner
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import LiteralMap

from lineage.artifacts import without_places
from lineage.compatibility.checks import Finding
from lineage.graph.graph import Lineage
from lineage.launches.launch import Decision, decided
from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.handover import (
    Gated,
    Plan,
    PlannedTeacher,
    TeacherVerdict,
    Verdict,
)
from tasks.contracts.review import record_approval
from tasks.gate.forecast import Forecast
from tasks.gate.machine import Machine
from tasks.gate.plan_page import summary_of
from tests.hosted.test_failure_records import made, quick_runner
from tests.support.admin import serving
from tests.support.estimates import fit
from workflows.cli import main

pytestmark = pytest.mark.usefixtures("tracked_home")  # which the command shows its record in

REVIEW = "review-the-plan"
COST = Forecast(
    parameters=1,
    teacher_parameters=1,
    tokens_per_step=1.0,
    operations=120.0,
    machine=Machine(name="a cpu", gpus=0, gpu="", operations_per_second=2.0, known_by="a test"),
    fit=fit(1 << 30),
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
    finding = Finding(
        code="overlap", severity="warning", subject="math", evidence="shared", next_step="look"
    )
    plan = Plan(
        fork_point=checkpoint,
        student=checkpoint,
        teachers=[teacher],
        notes=[finding],
    )
    verdict = TeacherVerdict(
        name="math", domain="math", verdict=Verdict.FITS, lead=0.5, lead_low=0.25, lead_high=0.75
    )
    document = without_places(plan.model_dump(mode="json", exclude={"artifact"}))
    plan = plan.model_copy(update={"artifact": made("plan", json.dumps(document))})
    passed = Gated(plan=plan, report=made("gate"), teachers=[verdict])
    return passed.model_copy(update={"summary": summary_of(passed, COST, ReleaseConditions())})


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
    """Return the inputs of each record of a decision, and what was decided in which execution."""
    records = quick_runner().records
    return [
        ({item.role: item.artifact for item in records.read(record).inputs}, attested.flyte, said)
        for record in Lineage(quick_runner().store).index.of_kind("approval")
        for attested in records.attestations(record)
        for said in decided(records.read(record), [attested])
    ]


def came_through(gated, monkeypatch, execution="f1"):
    """Return what the step behind the review gives in the pod of an execution."""
    with monkeypatch.context() as pod:
        pod.setenv("FLYTE_INTERNAL_EXECUTION_ID", execution)
        pod.setenv("FLYTE_INTERNAL_EXECUTION_PROJECT", "consolidation")
        pod.setenv("FLYTE_INTERNAL_EXECUTION_DOMAIN", "staging")
        return record_approval(quick_runner(), gated)


def test_the_summary_comes_first_and_says_what_is_approved(gated):
    assert next(iter(Gated.model_fields)) == "summary"
    lines = gated.summary.splitlines()
    assert len(lines) <= 10
    assert lines[0] == "Merge 1 teachers into one student."
    assert lines[1] == "teacher.math@3: fits, lead +0.50 (+0.25 to +0.75)"
    assert "Findings: 0 refusals, 1 warnings (overlap)." in lines
    assert (
        "Released with at least 0.5 of the gain in each domain, 0.8 on average, and every domain "
        "of the current release." in lines
    )
    assert any("1m" in line or "60" in line for line in lines if line.startswith("Cost"))


def test_the_approver_is_recorded_before_flyte_receives_the_approval(admin, gated):
    kept = waiting(admin, gated)
    code, told = asked(answer="y\n")
    assert code == 0, told
    assert gated.summary.splitlines()[1] in told
    assert kept.given == {REVIEW: True}
    [(inputs, run, said)] = approvals()
    assert inputs == {"plan": gated.plan.artifact.digest, "gate": gated.report.digest}
    assert said == Decision(decision="approved", by="ann", way="command", reason="they fit")
    assert run.name == "consolidation/staging/f1"


def test_who_approved_by_the_command_stays_with_the_student(admin, gated, monkeypatch):
    waiting(admin, gated)
    assert asked("--yes")[0] == 0
    passed = came_through(gated, monkeypatch)
    [(_, _, said)] = approvals()
    assert said.by == "ann"
    assert quick_runner().records.read(passed.approval.record).settings == {"decision": "approved"}


def test_an_approval_by_the_consoles_button_is_recorded_without_a_name(gated, monkeypatch):
    passed = came_through(gated, monkeypatch)
    assert came_through(gated, monkeypatch) == passed  # a second attempt
    [(_, run, said)] = approvals()
    assert said == Decision(decision="approved", way="console")
    assert said.words() == "by the console, identity unknown"
    assert run.name == "consolidation/staging/f1"


def test_each_execution_says_how_it_came_through_in_one_record(admin, gated, monkeypatch):
    waiting(admin, gated)
    assert asked("--yes")[0] == 0
    by_command, by_console = (came_through(gated, monkeypatch, name) for name in ("f1", "f2"))
    assert by_command.approval == by_console.approval
    assert [(run.execution, said.way) for _, run, said in approvals()] == [
        ("f1", "command"),
        ("f2", "console"),
    ]


def test_an_approval_at_a_terminal_names_who_is_logged_in(gated, monkeypatch):
    monkeypatch.setenv("LOGNAME", "bea")
    record_approval(quick_runner(), gated)
    [(_, run, said)] = approvals()
    assert (run, said.by, said.way) == (None, "bea", "terminal")


def test_a_plan_that_was_changed_on_its_way_is_not_approved(admin, gated):
    changed = gated.plan.model_copy(update={"notes": []})
    kept = waiting(admin, gated.model_copy(update={"plan": changed}))
    assert asked("--yes")[0] == 1
    assert (kept.given, approvals()) == ({}, [])


def test_an_answer_of_no_decides_nothing(admin, gated):
    kept = waiting(admin, gated)
    assert asked(answer="n\n")[0] == 1
    assert (kept.given, approvals()) == ({}, [])


def test_a_rejection_is_recorded_too(admin, gated):
    kept = waiting(admin, gated)
    assert asked("--reject", "--yes")[0] == 0
    assert kept.given == {REVIEW: False}
    assert [said.decision for _, _, said in approvals()] == ["rejected"]


def test_before_the_gate_an_approval_is_refused(admin, gated):
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


@pytest.mark.parametrize("first", [(), ("--reject",)], ids=["approved", "rejected"])
@pytest.mark.parametrize("then", [(), ("--reject",)], ids=["approve", "reject"])
def test_what_was_decided_is_not_decided_again(admin, gated, first, then):
    kept = waiting(admin, gated)
    assert asked("--yes", *first)[0] == 0
    before = (dict(kept.given), approvals())
    code, told = asked("--yes", "--wait", "60", *then)
    assert code == 1
    assert "f1" in told
    assert (kept.given, approvals()) == before


def test_a_missing_execution_is_reported(admin):
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
