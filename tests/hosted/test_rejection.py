"""A plan that was rejected leaves one record, whichever way it was rejected.

The messages are those of a real propeller; ``test_failure_records`` has its other failures.
"""

import json

import jsonschema
import pytest
from click.testing import CliRunner
from flytekit.types.error import FlyteError

from lineage.artifacts import Artifact, without_places
from lineage.launches.history import launches
from lineage.launches.launch import Decision, Launched
from lineage.records.derivation import FlyteRun
from tasks.contracts.handover import Gated, Plan, PlannedTeacher
from tasks.contracts.review import record_decision, rejections
from tasks.contracts.review import record_end as end
from tasks.gate.launch import record_launch
from tasks.mopd.launch_form import LaunchForm
from tasks.mopd.task import record_end
from tasks.platform.console_errors import from_console
from tasks.platform.failure import Failure, Work, failures, leave_record
from tasks.platform.step_runner import StepRunner
from tests.support.admin import serving
from tests.support.container import Container
from tests.support.executions_service import REJECTED
from tests.support.making import take, write_record
from tests.support.mirrors import MemoryMirror
from workflows.cli import main
from workflows.commands.schemas import schema_of
from workflows.consolidation.workflow import consolidate, consolidate_reviewed

pytestmark = pytest.mark.usefixtures("tracked_home")

FORM = LaunchForm(seed=3)
INPUTS = FORM.model_dump(mode="json")
CONSOLE = Decision(decision="rejected", way="console")


def bench_of(execution="f1"):
    run = FlyteRun(project="consolidation", domain="staging", execution=execution)
    return StepRunner(run=run, mirror=MemoryMirror())


def gated_plan(runner):
    """Return a plan behind the gate."""
    student = write_record(runner.store, b"weights")
    weights = artifact(student, "checkpoint")
    data = artifact(write_record(runner.store, b"rows", output_kind="dataset"), "dataset")
    teacher = PlannedTeacher(
        name="math",
        domain="math",
        reference="teacher.math@3",
        owner="team-math",
        release=artifact(write_record(runner.store, b"math", output_kind="release"), "release"),
        checkpoint=weights,
        ladder=[],
        **dict.fromkeys(("environment", "train", "validation", "evaluation"), data),
    )
    document = Plan(fork_point=weights, student=weights, teachers=[teacher])
    said = without_places(document.model_dump(mode="json", exclude={"artifact"}))
    text = json.dumps(said).encode()
    kinds = {"kind": "plan", "output_kind": "plan"}
    before = write_record(runner.store, text, take("student", student), of=0, **kinds)
    told = write_record(
        runner.store, b"page", take("plan", before), kind="gate", output_kind="report"
    )
    inputs = [take("student", student), take("plan", before)]
    after = write_record(runner.store, text, *inputs, of=1, **kinds)
    plan = document.model_copy(update={"artifact": artifact(after, "plan")})
    return Gated(plan=plan, report=artifact(told, "report"), teachers=[])


def artifact(made, kind):
    return Artifact(kind=kind, digest=made[1], record=made[0])


def launched(runner):
    gated = gated_plan(runner)
    record_launch(runner, gated.plan, Launched(inputs=INPUTS, seed=3), gated.report)
    return gated


def row(runner, execution="consolidation/staging/f1"):
    found, problems = launches(runner.store)
    assert problems == []
    [launch] = [each for each in found if each.execution == execution]
    return launch


def test_the_consoles_button_leaves_a_record_that_provost_plans_shows():
    runner = bench_of()
    launched(runner)
    assert row(runner).outcome == "open"
    end(runner, from_console(REJECTED), INPUTS)
    assert (row(runner).outcome, row(runner).decisions) == ("rejected", [CONSOLE])
    assert row(runner).approver is None
    told = CliRunner().invoke(main, ["plans"], env={"COLUMNS": "400"}).output
    assert "rejected: by the console, identity unknown" in told
    assert list(failures(runner)) == []


def test_a_second_attempt_of_the_failure_node_adds_nothing():
    runner = bench_of()
    launched(runner)
    first, second = (end(runner, from_console(REJECTED), INPUTS) for _ in range(2))
    assert first == second
    assert len(list(rejections(runner))) == 1


def test_who_rejected_by_the_command_stays_the_one_who_did():
    runner = bench_of()
    gated = launched(runner)
    by_ann = Decision(decision="rejected", by="ann", way="command", reason="too dear")
    record_decision(runner, gated, by_ann)
    end(runner, from_console(REJECTED), INPUTS)
    assert row(runner).decisions == [by_ann]


def test_another_execution_of_the_same_plan_is_not_rejected_with_it():
    for execution in ("f1", "f2"):
        launched(bench_of(execution))
    end(bench_of("f2"), from_console(REJECTED), INPUTS)
    outcomes = [row(bench_of(), f"consolidation/staging/{name}").outcome for name in ("f1", "f2")]
    assert outcomes == ["open", "rejected"]


def test_at_a_terminal_the_newest_launch_of_this_person_with_this_form_is_rejected(monkeypatch):
    monkeypatch.setenv("LOGNAME", "bea")
    runner = StepRunner(mirror=MemoryMirror())
    launched(runner)
    said = from_console(
        "Error encountered while executing 'consolidate_reviewed':\n"
        "  User did not approve the transaction for gate node review-the-plan"
    )
    assert end(runner, said, {**INPUTS, "seed": 4}) is None
    end(runner, said, INPUTS)
    [launch] = launches(runner.store)[0]
    assert launch.outcome == "rejected"
    assert launch.decisions == [Decision(decision="rejected", by="bea", way="terminal")]


def test_a_pod_that_was_killed_before_the_review_leaves_its_failure_once():
    runner = bench_of()
    launched(runner)
    killed = from_console("Pod failed. OOMKilled: exit code 137")
    made = end(runner, killed, INPUTS)
    assert end(runner, killed, INPUTS) is None
    [(record, attested)] = failures(runner)
    assert (record, attested.flyte.execution) == (made.record, "f1")
    assert runner.records.read(record).settings["inputs"] == INPUTS
    assert (row(runner).outcome, row(runner).error) == ("failed", killed.sentence)


def test_a_failure_that_its_step_recorded_is_not_recorded_again():
    runner = bench_of()
    leave_record(runner, Failure("task", "RecalledError", "math@1 was recalled"), Work())
    assert end(runner, from_console("math@1 was recalled"), INPUTS) is None
    assert len(list(failures(runner))) == 1


@pytest.mark.medium
def test_the_failure_node_s_pod_records_it(tmp_path):
    runner = bench_of()
    launched(runner)
    inputs = {name: getattr(FORM, name) for name in LaunchForm.model_fields}
    inputs["err"] = FlyteError(REJECTED, "review-the-plan")
    pod = Container(record_end, tmp_path / "pod", inputs)
    ended = pod.run(FLYTE_INTERNAL_EXECUTION_PROJECT="consolidation")
    assert ended.error is None, ended.error.message
    assert row(runner).decisions == [CONSOLE]


def test_the_reviewed_workflow_alone_has_the_node():
    from flytekit.tools.translator import get_serializable

    from tests.support.container import settings

    template = get_serializable({}, settings(), consolidate_reviewed).template.to_flyte_idl()
    bound = {binding.var for binding in template.failure_node.inputs}
    assert bound >= set(LaunchForm.model_fields)
    assert template.failure_node.task_node.reference_id.name == "tasks.mopd.task.record_end"
    assert consolidate.on_failure is None


def test_provost_plans_shows_who_launched_where_flyte_knows_it(admin):
    for execution in ("f1", "f2", "f3"):
        launched(bench_of(execution))
    admin.ran("f1", "RUNNING", launcher="bea")
    admin.ran("f2", "RUNNING")  # without a login; f3 is forgotten
    code, document = plans()
    assert code == 0
    assert {row["execution"][-2:]: row["launcher"] for row in document["plans"]} == {
        "f1": "bea",
        "f2": None,
        "f3": None,
    }


def test_a_flyte_that_does_not_answer_is_a_problem_and_hides_no_plan(monkeypatch):
    monkeypatch.setenv("FLYTE_PLATFORM_URL", "127.0.0.1:9")
    monkeypatch.setenv("FLYTE_PLATFORM_INSECURE", "true")
    launched(bench_of())
    code, document = plans()
    assert (code, len(document["plans"])) == (1, 1)
    [problem] = document["problems"]
    assert "127.0.0.1:9" in problem


def test_without_flyte_no_request_is_sent(monkeypatch):
    monkeypatch.delenv("FLYTE_PLATFORM_URL", raising=False)
    launched(bench_of())
    code, document = plans()
    assert (code, document["problems"]) == (0, [])
    assert document["plans"][0]["launcher"] is None


def plans():
    result = CliRunner().invoke(main, ["plans", "--json"])
    assert isinstance(result.exception, SystemExit | None), result.exception
    document = json.loads(result.stdout)
    jsonschema.validate(document, schema_of("plans"))
    return result.exit_code, document


@pytest.fixture
def admin(monkeypatch):
    with serving() as (service, address):
        monkeypatch.setenv("FLYTE_PLATFORM_URL", address)
        monkeypatch.setenv("FLYTE_PLATFORM_INSECURE", "true")
        yield service


def runs(*options):
    command = ["runs", "consolidation", "--domain", "staging", "--json", *options]
    result = CliRunner().invoke(main, command)
    assert isinstance(result.exception, SystemExit | None), result.exception
    [run] = json.loads(result.output)["runs"]
    return result.exit_code, run


def test_a_rejection_is_what_provost_runs_misses_and_writes(admin):
    admin.ran("f1", "FAILED", error=REJECTED, code="ReceivedRejectSignal")
    runner = bench_of()
    launched(runner)
    code, run = runs()
    assert (code, run["record"], run["error_type"]) == (1, "", "Rejected")
    code, run = runs("--record")
    [(record, _)] = rejections(runner)
    assert (code, run["record"]) == (0, record)
    assert row(runner).decisions == [CONSOLE]
    assert list(failures(runner)) == []
    assert runs() == (0, run)
