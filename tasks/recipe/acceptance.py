"""What a person does at the gate, done by a recipe: accept findings, approve the plan.

A recipe repeats what was published, and most systems had no gate. So it merges its teachers also
where the gate advises against that. Its signed waiver and the record of its approval say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lineage.graph.graph import Lineage
from lineage.launches.launch import Decision
from lineage.rules.evidence import taken
from tasks.contracts.handover import Gated, GateOrder, OnMisfit, Plan
from tasks.contracts.review import record_decision
from tasks.gate.decision import refused, waive
from tasks.gate.gate import gate, leave_unmeasured
from tasks.gate.measured import ProbeSettings
from tasks.gate.plan import propose
from tasks.platform.step_runner import StepRunner
from tasks.rollout.settings import SamplingSettings

REASON = "accepted automatically by the recipe {system}, which merges the teachers of its source"


@dataclass(frozen=True)
class GateInputs:
    """What the gate of a consolidation is given beside the plan."""

    order: GateOrder
    sampling: SamplingSettings
    """Sampling outside the rounds."""
    ladder_stages: int


def accept_findings(
    runner: StepRunner, teachers: Sequence[str], student: str, inputs: GateInputs, system: str
) -> list[str]:
    """Return the digests of the waivers that a recipe's consolidation needs; often none.

    It plans and measures as the consolidation will, which then finds both. ``teachers`` and
    ``student`` are written as in the launch form; ``system`` names the recipe.

    Raises:
        NotWaivableError: for a finding that no waiver accepts.
    """
    plan = propose(runner, teachers, student, inputs.sampling)
    order = inputs.order
    if order.gate_prompts_per_domain == 0:
        gated = leave_unmeasured(runner, plan, inputs.ladder_stages)
    else:
        probe = ProbeSettings(
            prompts_per_domain=order.gate_prompts_per_domain,
            sampling=inputs.sampling,
            ladder_stages=inputs.ladder_stages,
        )
        gated = gate(runner, plan, OnMisfit.REFUSE, probe)
    if not refused(gated.plan, order.refuse_findings_from):
        return []
    return [_waiver(runner, gated.plan, REASON.format(system=system))]


def _waiver(runner: StepRunner, plan: Plan, reason: str) -> str:
    """Return the waiver of a plan for a reason: the one that a run before has signed, or a new one.

    A waiver names its time. A rerun with a new one would publish another student.
    """
    assert plan.artifact is not None
    for record in Lineage(runner.store).index.of_kind("waiver"):
        made = runner.records.read(record)
        of = [item.record for item in taken(made, "plan")]
        own = made.project == runner.project
        if own and of == [plan.artifact.record] and made.settings.get("reason") == reason:
            return str(made.settings["envelope"])
    return waive(runner, plan.artifact.digest, reason).artifact.digest


def approve_automatically(runner: StepRunner, gated: Gated, system: str) -> Gated:
    """Return the gated plan with the record that a recipe approved it, and no person."""
    decision = Decision(
        decision="approved",
        by=f"the recipe {system}",
        way="recipe",
        reason="a recipe waits for no person",
    )
    return gated.model_copy(update={"approval": record_decision(runner, gated, decision)})
