"""Flyte tasks that plan a consolidation, and measure whether its teachers fit."""

import sys
from typing import TYPE_CHECKING, NamedTuple

from lineage.artifacts import Artifact
from lineage.launches.launch import Launched
from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.handover import Gated, GateOrder, OnMisfit, Plan
from tasks.contracts.inputs import told_by_name
from tasks.gate.measured import ProbeSettings
from tasks.onpolicy.settings import Workload
from tasks.platform.hosting import hosted, show
from tasks.platform.resources import Stage
from tasks.rollout.settings import SamplingSettings

if TYPE_CHECKING:
    from tasks.gate.forecast import Forecast
    from tasks.platform.step_runner import StepRunner


class Looked(NamedTuple):
    """The results of a gate that runs on its own."""

    summary: str
    """The verdict on each teacher, and the findings."""
    gated: Gated
    outcomes: list[str]
    """What came of teachers in earlier merges with the same settings, a line each."""


@hosted(Stage.PLAN, deck=True)
def make_plan(  # noqa: PLR0913, PLR0917 - inputs of a task have no defaults to hide in
    teachers: list[str],
    student: str,
    workload: Workload,
    order: GateOrder,
    waivers: list[str],
    publish_as: str,
    sampling: SamplingSettings,
    ladder_stages: int,
    launched: str,
    conditions: ReleaseConditions,
) -> Plan:
    """Resolve names, check the records, and print the plan with its cost; fail if it is refused.

    The launch is recorded and the Deck is written even if the plan is refused; ``launched`` is
    ``Launched`` as JSON. A name that the student could not be published under is refused here, and
    not after the training.
    """
    from lineage.registry.registry import check_may_publish
    from tasks.gate import plan as step
    from tasks.gate.decision import decide
    from tasks.gate.forecast import refuse_what_cannot_run
    from tasks.gate.launch import launching
    from tasks.gate.plan_page import plan_page, plan_text
    from tasks.platform.step_runner import StepRunner

    check_may_publish(StepRunner().store, f"student.{publish_as}")
    runner = StepRunner()
    plan = step.propose(runner, teachers, student, sampling)
    with launching(runner, plan, Launched.model_validate_json(launched)):
        cost = cost_of(runner, plan, workload, order, sampling, ladder_stages)
        sys.stderr.write(f"{plan_text(plan, cost, conditions)}\n")
        show("plan", plan_page(plan, cost, conditions))
        refuse_what_cannot_run(runner, plan, cost)
        return decide(runner, plan, order.refuse_findings_from, waivers)


def cost_of(
    runner: "StepRunner",
    plan: Plan,
    workload: Workload,
    order: GateOrder,
    sampling: SamplingSettings,
    ladder_stages: int,
) -> "Forecast":
    """Estimate what a plan will take.

    Raises:
        ValueError: a teacher has fewer rungs than the ladder has stages.
    """
    from tasks.gate.forecast import forecast
    from tasks.onpolicy.ladder import earlier_rungs

    for teacher in plan.teachers:
        earlier_rungs(teacher, ladder_stages)
    probe = None
    if order.gate_prompts_per_domain:
        probe = _probe_settings(order.gate_prompts_per_domain, sampling, ladder_stages)
    return forecast(runner, plan, workload, probe)


@hosted(Stage.GATE_PROBE, deck=True)
def measure_teachers(  # noqa: PLR0913, PLR0917 - inputs of a task have no defaults to hide in
    plan: Plan,
    on_misfit: OnMisfit,
    order: GateOrder,
    waivers: list[str],
    sampling: SamplingSettings,
    ladder_stages: int,
    workload: Workload,
    launched: str,
    conditions: ReleaseConditions,
    recipe: str,
    reviewed: bool,  # noqa: FBT001 - an input of a task
) -> Gated:
    """Measure the plan's teachers on the student's own rollouts; fail if one does not fit.

    The Deck is written even if the plan is refused. With 0 prompts nothing is measured, and a
    finding says so. With ``ladder_stages`` above 1 the rungs of each climb are measured too.
    ``recipe`` holds the round's settings, which select the earlier outcomes that are shown. The
    plan records whether it is to be ``reviewed``.
    """
    from tasks.gate import gate as step
    from tasks.gate.forecast import forecast
    from tasks.gate.launch import launching, record_launch
    from tasks.gate.past_outcomes import outcomes, outcomes_page
    from tasks.gate.plan_page import summary_of
    from tasks.platform.step_runner import StepRunner

    runner = StepRunner()
    form = Launched.model_validate_json(launched)
    with launching(runner, plan, form):
        if order.gate_prompts_per_domain == 0:
            gated = step.leave_unmeasured(runner, plan, ladder_stages, reviewed=reviewed)
        else:
            probe = _probe_settings(order.gate_prompts_per_domain, sampling, ladder_stages)
            gated = step.gate(runner, plan, on_misfit, probe, reviewed=reviewed)
    record_launch(runner, gated.plan, form, gated.report)
    show("gate", step.read_page(runner, gated.report))
    show("outcomes", outcomes_page(outcomes(runner, plan, recipe)))
    admitted = step.admit(runner, gated, order.refuse_findings_from, waivers)
    cost = forecast(runner, admitted.plan, workload)
    return admitted.model_copy(update={"summary": summary_of(admitted, cost, conditions)})


@hosted(Stage.GATE_PROBE, deck=True)
def measure_remedies(gated: Gated, plan: Plan, sampling: SamplingSettings, seed: int) -> Plan:
    """Measure what the remedies of a gated plan brought; fail if a teacher still does not fit.

    It returns ``plan``, whose student had the remedies; often there were none.
    """
    from tasks.gate import remedied as step
    from tasks.platform.step_runner import StepRunner

    outcomes = step.measure_remedies(StepRunner(), gated, plan, sampling, seed)
    show("remedies", step.remedies_page(outcomes))
    step.refuse_failed(gated, outcomes)
    return plan


@hosted(Stage.GATE_PROBE, deck=True)
def probe_teachers(
    teachers: list[str],
    student: str,
    prompts_per_domain: int,
    max_new_tokens: int,
    ladder_stages: int,
    recipe: str,
) -> Looked:
    """Measure and judge teachers without a consolidation; nothing is refused.

    Outcomes of rounds with ``recipe`` are shown, after these two inputs are set in it.
    """
    from tasks.gate import gate as step
    from tasks.gate import plan as planning
    from tasks.gate.past_outcomes import (
        outcome_lines,
        outcomes,
        outcomes_page,
        recipe_with,
    )
    from tasks.gate.plan_page import findings_of
    from tasks.platform.step_runner import StepRunner

    runner = StepRunner()
    with told_by_name({"max_new_tokens": "max_new_tokens"}):
        sampling = SamplingSettings(max_new_tokens=max_new_tokens)
    probe = _probe_settings(prompts_per_domain, sampling, ladder_stages)
    like = recipe_with(recipe, ladder_stages, max_new_tokens)
    plan = planning.propose(runner, teachers, student, sampling)
    gated = step.gate(runner, plan, OnMisfit.REFUSE, probe)
    show("gate", step.read_page(runner, gated.report))
    past = outcomes(runner, plan, like)
    show("outcomes", outcomes_page(past))
    return Looked(findings_of(gated), gated, outcome_lines(past))


def _probe_settings(
    prompts_per_domain: int, sampling: SamplingSettings, ladder_stages: int
) -> ProbeSettings:
    with told_by_name({"prompts_per_domain": "gate_prompts_per_domain"}):
        return ProbeSettings(
            prompts_per_domain=prompts_per_domain, sampling=sampling, ladder_stages=ladder_stages
        )


@hosted(Stage.RELEASE)
def compare_with_outcome(student: Artifact) -> Artifact:
    """Record the gate's verdict on each teacher beside the result."""
    from tasks.gate import outcome as step
    from tasks.platform.step_runner import StepRunner

    return step.compare_with_outcome(StepRunner(), student)


@hosted(Stage.RELEASE)
def record_approval(gated: Gated) -> Gated:
    """Record how the plan passed the approval node."""
    from tasks.contracts import review as step
    from tasks.platform.step_runner import StepRunner

    return step.record_approval(StepRunner(), gated)
