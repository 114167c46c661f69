"""A failure leaves exactly one record, however its run ends.

The pods are real ones, ended as Flyte ends them; whether Flyte then runs the failure node is what
the tests choose, as a real propeller was seen to: not after a recovery, not after an abort.
"""

import json

import pytest
from flytekit.types.error import FlyteError

from lineage.digest import digest_json
from lineage.records.record import Derivation
from lineage.trust.author import own_key, own_key_path
from tasks.contracts.handover import Gated, Plan, PlannedTeacher
from tasks.mopd.launch_form import LaunchForm
from tasks.mopd.round_form import ConsolidationSpec
from tasks.mopd.task import record_failure
from tasks.platform.failure import failures
from tasks.platform.step_runner import StepRunner
from tests.hosted.test_container import SHOWN
from tests.support import failing_task
from tests.support.container import ROOT, Container
from tests.support.mirrors import MemoryMirror

pytestmark = pytest.mark.medium  # pods are processes


def quick_runner():
    """Return a step runner that does not wait for MLflow."""
    return StepRunner(mirror=MemoryMirror())


def made(kind, text="x"):
    """Return an artifact with a record."""
    derivation = Derivation(
        project=quick_runner().project,
        kind=kind,
        inputs=(),
        source=digest_json("code"),
        settings={"text": text},
        seed=0,
    )

    def write(folder, _):
        (folder / "file").write_text(text)
        return folder / "file"

    return quick_runner().find_or_make(derivation, kind, write)


@pytest.fixture
def gated():
    checkpoint, data = made("checkpoint"), made("dataset")
    teacher = PlannedTeacher(
        name="math",
        domain="math",
        reference="math@1",
        owner="team-math",
        release=made("release"),
        checkpoint=made("checkpoint", "math"),
        ladder=[],
        **dict.fromkeys(("environment", "train", "validation", "evaluation"), data),
    )
    plan = Plan(
        artifact=made("plan"), fork_point=checkpoint, student=checkpoint, teachers=[teacher]
    )
    return Gated(plan=plan, report=made("gate"), teachers=[])


@pytest.fixture
def spec():
    asked = LaunchForm().round()
    return ConsolidationSpec(
        settings=asked.settings(), sampling=asked.sampling(), rounds=1, seed=0, publish_as="general"
    )


def recorded():
    """Return (execution, what was said) of every failure that the store tells of."""
    runner = quick_runner()
    return sorted(
        (attested.flyte.execution, runner.records.read(record).settings["error"])
        for record, attested in failures(runner)
    )


def ended(pod, execution, attempt=0, **more):
    return pod.run(attempt, FLYTE_INTERNAL_EXECUTION_ID=execution, **more)


def failure_node(folder, gated, spec, execution, message):
    """Run Flyte's failure node, which gets the message of the node that failed."""
    inputs = {"gated": gated, "spec": spec, "err": FlyteError(message, "n1")}
    return ended(Container(record_failure, folder, inputs), execution)


def test_a_step_that_refuses_shows_our_sentence_and_leaves_the_record_of_its_inputs(tmp_path):
    start = made("checkpoint")
    pod = Container(failing_task.fail_with, tmp_path / "pod", {"start": start, "ending": "refusal"})
    error = ended(pod, "f1").error
    assert error.code == "USER:UnknownReferenceError"
    assert failing_task.SENTENCE[:70] in error.message[:SHOWN]
    assert "Traceback" not in error.message
    assert '.py", line' not in error.message
    [(record, attested)] = failures(quick_runner())
    derivation = quick_runner().records.read(record)
    assert [(item.role, item.artifact) for item in derivation.inputs] == [("start", start.digest)]
    assert derivation.settings == {
        "task": "tests.support.failing_task.fail_with",
        "type": "UnknownReferenceError",
        "error": failing_task.SENTENCE,
    }
    assert attested.flyte.name == "teacher-math/staging/f1"
    assert str(ROOT) not in json.dumps(derivation.settings)


@pytest.fixture
def flavored():
    """The environment of a pod of the flavor cpu, which gives a plan two retries."""
    own_key()
    return {"PROVOST_FLAVOR": "cpu", "PROVOST_SIGNING_KEY_FILE": str(own_key_path())}


def test_a_fault_that_may_pass_is_recorded_after_the_last_attempt_alone(tmp_path, flavored):
    inputs = {"start": made("checkpoint"), "ending": "network"}
    pod = Container(failing_task.fail_with, tmp_path / "pod", inputs)
    assert ended(pod, "f1", 1, **flavored).is_recoverable
    assert recorded() == []
    assert ended(pod, "f1", 2, **flavored).is_recoverable
    assert recorded() == [("f1", "ConnectionResetError: the store has gone")]


def test_an_attempt_that_lost_its_machine_has_not_failed_yet(tmp_path, flavored):
    pod = Container(failing_task.wait, tmp_path / "pod", {"seconds": 60.0})
    left = pod.interrupt(0, "waiting", **flavored)
    assert left.is_recoverable
    assert "SIGTERM" in left.error.message[:100]
    assert recorded() == []


def test_the_failure_node_adds_nothing_and_a_failure_after_a_recovery_a_second_record(
    tmp_path, gated, spec
):
    def fail(execution):
        inputs = {"gated": gated, "spec": spec}
        pod = Container(failing_task.fail_in_a_plan, tmp_path / execution, inputs)
        return ended(pod, execution).error.message

    message = fail("f1")
    assert recorded() == [("f1", failing_task.SENTENCE)]
    assert failure_node(tmp_path / "node", gated, spec, "f1", message).error is None
    assert recorded() == [("f1", failing_task.SENTENCE)]
    fail("f2")  # the recovered run: no failure node is run
    assert recorded() == [("f1", failing_task.SENTENCE), ("f2", failing_task.SENTENCE)]
    assert len({record for record, _ in failures(quick_runner())}) == 1  # the same failure, twice


def test_a_pod_that_could_not_write_is_recorded_by_the_failure_node(tmp_path, gated, spec):
    message = "Pod failed. OOMKilled: exit code 137"
    assert failure_node(tmp_path / "node", gated, spec, "f1", message).error is None
    assert recorded() == [("f1", message)]
    [(record, _)] = failures(quick_runner())
    assert quick_runner().records.read(record).settings["publish_as"] == "general"
    assert [item.role for item in quick_runner().records.read(record).inputs] == ["plan"]
