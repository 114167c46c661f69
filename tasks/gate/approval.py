"""The record of a person's decision on a plan. A reviewed plan needs it to publish a student."""

import tempfile
from pathlib import Path

from lineage.approval import KIND, NOTE, SOURCE, Decision
from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.record import Derivation
from lineage.rules.evidence import Evidence, refuse_broken
from lineage.rules.others import check_approval
from tasks.gate.probed import asked
from tasks.handover import Gated
from tasks.measurements import Measurements
from tasks.planned import refuse_changed
from tasks.provenance import person
from tasks.step_runner import StepRunner, now


def record_decision(runner: StepRunner, gated: Gated, decision: Decision) -> Artifact:
    """Record the decision on a plan that passed the gate, in the runner's execution.

    Raises:
        LineageError: for a plan that differs from the stored one, which is the plan that was shown.
        BrokenRuleError: for a gate report on another plan.
        NotEntitledError: for a key of another team than the one that planned.
    """
    made = _derivation(runner, gated, decision)
    started = now()
    measurements = Measurements(KIND, notes={NOTE: decision.model_dump(mode="json")})
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        path = Path(folder) / "approval.json"
        inputs = {item.role: item.artifact for item in made.inputs}
        path.write_bytes(canonical_json({**inputs, "decision": decision.decision}))
        return runner.commit(made, KIND, path, started, measurements, owner="consolidation")


def record_approval(runner: StepRunner, gated: Gated) -> Gated:
    """Return the plan that passed the approval node, with the record of the decision.

    ``provost approve`` has recorded it already. The console's own button leaves no name, because
    Flyte's signals carry none.

    Raises as ``record_decision``.
    """
    run = runner.run
    if run is None:
        said = Decision(decision="approved", by=person(), way="terminal")
    else:
        said = Decision(decision="approved", way="console")
    made = _derivation(runner, gated, said)
    known = [each.flyte for each in runner.records.history(made.digest())]
    approval = (
        runner.find(made) if run and run.name in {each.name for each in known if each} else None
    )
    approval = approval or record_decision(runner, gated, said)
    return gated.model_copy(update={"approval": approval})


def _derivation(runner: StepRunner, gated: Gated, decision: Decision) -> Derivation:
    refuse_changed(runner, gated.plan)
    plan = gated.plan.artifact
    assert plan is not None
    made = Derivation(
        project=runner.records.read(plan.record).project or runner.project,
        kind=KIND,
        inputs=(asked("plan", plan), asked("gate", gated.report)),
        source=SOURCE,
        settings={"decision": decision.decision},
        seed=0,
    )
    refuse_broken("the approval", list(check_approval(Evidence(runner.store), made)))
    return made
