"""Which controls are trained, in which order, and for how long."""

from collections.abc import Sequence

from lineage.artifacts import Artifact
from tasks.contracts.controls import ARMS, OFF_POLICY, Control, TrainedControl
from tasks.contracts.handover import Plan
from tasks.controls.arms import Arms
from tasks.controls.budget import round_seconds, seconds_of
from tasks.controls.off_policy import OffPolicy
from tasks.controls.specs import ControlSpec
from tasks.mopd.round_form import ConsolidationSpec
from tasks.platform.step_runner import StepRunner

BEFORE = 0.5
"""Share of the time that SFT takes where MOPD follows."""


def plan_off_policy(
    runner: StepRunner, plan: Plan, student: Artifact, spec: ConsolidationSpec
) -> list[ControlSpec]:
    """Return the controls by SFT on the teachers' answers; MOPD after SFT begins with one too."""
    wanted = spec.controls.chosen(OFF_POLICY)
    budget = round_seconds(runner, student, plan.student) if wanted else 0.0
    share = {Control.MOPD_AFTER_SFT: BEFORE}
    return [_spec(control, plan, spec, share.get(control, 1.0) * budget) for control in wanted]


def plan_arms(
    runner: StepRunner,
    plan: Plan,
    student: Artifact,
    spec: ConsolidationSpec,
    off_policy: Sequence[TrainedControl],
) -> list[ControlSpec]:
    """Return the controls that learn on rollouts; one goes on from what SFT has made."""
    wanted = spec.controls.chosen(ARMS)
    budget = round_seconds(runner, student, plan.student) if wanted else 0.0
    trained = {each.control: each for each in off_policy}
    planned = []
    for control in wanted:
        before = trained.get(control)
        left = budget - (before.seconds if before else 0.0)
        made = _spec(control, plan, spec, max(0.0, left))
        start = before.checkpoint if before else None
        planned.append(made.model_copy(update={"before": start}))
    return planned


def _spec(control: Control, plan: Plan, spec: ConsolidationSpec, budget: float) -> ControlSpec:
    return ControlSpec(
        control=control,
        plan=plan,
        settings=spec.settings,
        order=spec.controls,
        sampling=spec.sampling,
        seed=spec.seed,
        budget=budget,
    )


def train_off_policy(runner: StepRunner, spec: ControlSpec) -> TrainedControl:
    """Return the student of SFT on the teachers' answers, found or made."""
    arm = OffPolicy(runner, spec.plan, spec.order, spec.sampling, spec.seed)
    checkpoint, seconds = arm.train(spec.budget, spec.control.value.replace("_", " "))
    return TrainedControl(control=spec.control, checkpoint=checkpoint, seconds=seconds)


def train_arm(runner: StepRunner, spec: ControlSpec) -> TrainedControl:
    """Return the student of a control that learns on rollouts, found or made."""
    arms = Arms(runner, spec.plan, spec.settings, spec.order, spec.seed, spec.budget, spec.before)
    checkpoint = arms.train(spec.control)
    return TrainedControl(
        control=spec.control, checkpoint=checkpoint, seconds=seconds_of(runner, checkpoint)
    )
