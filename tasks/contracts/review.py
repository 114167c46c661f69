"""The record of a person's decision on a plan. A reviewed plan needs it to publish a student."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue, ValidationError

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.errors import CorruptError
from lineage.graph.graph import Lineage
from lineage.launches.launch import (
    APPROVAL,
    DECISION_SOURCE,
    LAUNCH,
    LAUNCHER,
    REPORT,
    REVIEW,
    Decision,
    Launched,
    decided,
)
from lineage.records.record import Attestation, Derivation, Input
from lineage.registry.survey import readable_attestations
from lineage.rules.evidence import Evidence, refuse_broken
from lineage.rules.others import check_approval
from tasks.contracts.handover import Gated
from tasks.contracts.planned import refuse_changed
from tasks.platform.console_errors import Told
from tasks.platform.failure import Failure, Work, leave_record, may_tell_of, of_execution
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import person
from tasks.platform.step_runner import StepRunner, now

WORKFLOW = "workflows.consolidation.workflow.consolidate_reviewed"
_REJECTED = ("received a reject signal", "User did not approve")
"""What Flyte's propeller, and flytekit's local execution, say of a plan that was rejected."""


def record_decision(runner: StepRunner, gated: Gated, decision: Decision) -> Artifact:
    """Record the decision on a plan that passed the gate, in the runner's execution.

    Raises:
        LineageError: for a plan that differs from the stored one, which is the plan that was shown.
        BrokenRuleError: for a gate report on another plan.
        NotEntitledError: for a key of another team than the one that planned.
    """
    return _record(runner, _of_gated(runner, gated, decision), decision)


def record_approval(runner: StepRunner, gated: Gated) -> Gated:
    """Return the plan that passed the approval node, with the record of the decision.

    ``provost approve`` has recorded it already. The console's own button leaves no name, because
    Flyte's signals carry none.

    Raises as ``record_decision``.
    """
    said = _as_here(runner, Decision(decision="approved", way="console"))
    made = _of_gated(runner, gated, said)
    return gated.model_copy(update={"approval": _recorded_once(runner, made, said)})


def record_rejection(runner: StepRunner, inputs: Mapping[str, JsonValue]) -> Artifact | None:
    """Record that the plan of the runner's execution was rejected; return the record.

    ``provost approve --reject`` has recorded it already. In a local run the plan is that of the
    newest launch with ``inputs`` by the local user. Returns None if no launch that passed the gate
    is recorded.

    Raises as ``record_decision``.
    """
    launch = _launched(runner, inputs)
    if launch is None or launch.report is None:
        return None
    said = _as_here(runner, Decision(decision="rejected", way="console"))
    return _recorded_once(runner, _derivation(runner, launch.plan, launch.report, said), said)


def record_end(runner: StepRunner, error: Told, inputs: Mapping[str, JsonValue]) -> Artifact | None:
    """Record how a reviewed consolidation ended without a student, unless that is recorded.

    It ends so when its plan is rejected. In Flyte it may also be the failure of a pod that was
    killed before it could record the failure.
    """
    if any(said in error.sentence for said in _REJECTED):
        rejection = record_rejection(runner, inputs)
        if rejection is not None:
            return rejection
    if runner.run is None or of_execution(runner, runner.run):
        return None
    launch = _launched(runner, inputs)
    work = Work([launch.plan] if launch else [], {"inputs": dict(inputs)})
    return leave_record(runner, Failure(WORKFLOW, error.name, error.sentence, error.frames), work)


def rejections(runner: StepRunner) -> Iterator[tuple[str, Attestation]]:
    """Yield every rejection of a plan by the project that planned: the record, and each run."""
    for record in Lineage(runner.store).index.of_kind(APPROVAL):
        made = runner.records.read(record)
        if not _is_of_planner(runner, made):
            continue
        for attested in readable_attestations(runner.records, record):
            if _is_rejection(made, attested) and may_tell_of(runner, made, attested):
                yield record, attested


def _is_of_planner(runner: StepRunner, made: Derivation) -> bool:
    """Return whether a record is of the project of its plan; anybody may write about a plan."""
    plans = [item.record for item in made.inputs if item.role == "plan" and item.record]
    return len(plans) == 1 and runner.records.read(plans[0]).project == made.project


def _is_rejection(made: Derivation, attested: Attestation) -> bool:
    try:
        return any(said.decision == "rejected" for said in decided(made, [attested]))
    except CorruptError:  # an unreadable one hides no other
        return False


def _as_here(runner: StepRunner, decision: Decision) -> Decision:
    """Return a decision as it is made here: in Flyte's console, or by a person at a terminal."""
    if runner.run is not None:
        return decision
    return decision.model_copy(update={"by": person(), "way": "terminal"})


def _recorded_once(runner: StepRunner, made: Derivation, said: Decision) -> Artifact:
    """Return the record of a decision; an execution that has it says nothing more."""
    run = runner.run
    known = [each.flyte.name for each in runner.records.history(made.digest()) if each.flyte]
    found = runner.find(made) if run is not None and run.name in known else None
    return found or _record(runner, made, said)


def _record(runner: StepRunner, made: Derivation, decision: Decision) -> Artifact:
    started = now()
    measurements = Measurements(APPROVAL, notes={REVIEW: decision.model_dump(mode="json")})
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        path = Path(folder) / "approval.json"
        inputs = {item.role: item.artifact for item in made.inputs}
        path.write_bytes(canonical_json({**inputs, "decision": decision.decision}))
        return runner.commit(made, APPROVAL, path, started, measurements, owner="consolidation")


class _LaunchAtGate(NamedTuple):
    at: str
    plan: Input
    report: Input | None
    """None where the launch came to no gate."""


def _launched(runner: StepRunner, inputs: Mapping[str, JsonValue]) -> _LaunchAtGate | None:
    """Return the newest launch in this execution, or of this form here."""
    found: list[_LaunchAtGate] = []
    for record in Lineage(runner.store).index.of_kind(LAUNCH):
        made = runner.records.read(record)
        if made.project != runner.project or not _is_of_planner(runner, made):
            continue
        for attested in runner.records.attestations(record):
            if _is_launch(runner, made, attested, inputs):
                report = _report(attested.notes.get(REPORT))
                found.append(_LaunchAtGate(attested.finished, made.inputs[0], report))
    return max(found, key=lambda launch: launch.at) if found else None


def _report(note: JsonValue) -> Input | None:
    return Input.model_validate({"role": "gate", **note}) if isinstance(note, dict) else None


def _is_launch(
    runner: StepRunner, made: Derivation, attested: Attestation, inputs: Mapping[str, JsonValue]
) -> bool:
    if runner.run is not None:
        return attested.flyte is not None and attested.flyte.name == runner.run.name
    if attested.flyte is not None or attested.notes.get(LAUNCHER, "") != person():
        return False
    try:
        return Launched.model_validate(made.settings).inputs == inputs
    except ValidationError:  # of another version
        return False


def _of_gated(runner: StepRunner, gated: Gated, decision: Decision) -> Derivation:
    refuse_changed(runner, gated.plan)
    plan, report = gated.plan.artifact, gated.report
    assert plan is not None
    return _derivation(
        runner,
        Input.of("plan", plan),
        Input.of("gate", report),
        decision,
    )


def _derivation(runner: StepRunner, plan: Input, report: Input, decision: Decision) -> Derivation:
    made = Derivation(
        project=runner.records.read(plan.record).project or runner.project,
        kind=APPROVAL,
        inputs=(plan, report),
        source=DECISION_SOURCE,
        settings={"decision": decision.decision},
        seed=0,
    )
    refuse_broken("the approval", list(check_approval(Evidence(runner.store), made)))
    return made
