"""Which controls are trained, in which order, and for how long.

The student is paid for when its controls are trained. A control without data to learn from is
therefore left out with its reason, and so is one that diverges in its training; whatever else fails
still fails the consolidation.
"""

from collections.abc import Sequence

from lineage.artifacts import Artifact
from lineage.errors import CodedError
from tasks.contracts.controls import ARMS, OFF_POLICY, Control, TrainedControl, without
from tasks.contracts.handover import Plan
from tasks.contracts.refusal import RefusedError
from tasks.controls.arms import Arms
from tasks.controls.budget import round_seconds, seconds_of
from tasks.controls.off_policy import NOTHING_LEFT, OffPolicy
from tasks.controls.specs import ControlSpec
from tasks.mopd.round_form import ConsolidationSpec
from tasks.onpolicy.feature_checks import FeatureCheckError
from tasks.onpolicy.run_monitor import TrainingAbortedError
from tasks.platform.step_runner import StepRunner

BEFORE = 0.5
"""Share of the time that SFT takes where MOPD follows."""
ALIKE = (
    "all rollouts of each group got the same grade, so the outcome had nothing to add: use harder "
    "or easier prompts"
)
"""Why MOPD with the outcome was left out."""
DIVERGED = {"not-finite", "runaway", "student-collapse"}
"""Codes of training that came apart, which is a result of the control and of its learning rate."""


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
    """Return the controls that learn on rollouts; one goes on from what SFT has made.

    Without that SFT it is left out too: MOPD from the start is the student itself.
    """
    missing = {each.control for each in off_policy if each.checkpoint is None}
    wanted = [control for control in spec.controls.chosen(ARMS) if control not in missing]
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
    """Return the student of SFT on the teachers' answers, found or made, or why it is left out."""
    arm = OffPolicy(runner, spec.plan, spec.order, spec.sampling, spec.seed)
    try:
        checkpoint, seconds = arm.train(spec.budget, spec.control.value.replace("_", " "))
    except (RefusedError, FloatingPointError) as error:
        if not (_code(error) == NOTHING_LEFT or _diverged(error)):
            raise
        return without(spec.control, str(error))
    return TrainedControl(control=spec.control, checkpoint=checkpoint, seconds=seconds)


def _diverged(error: Exception) -> bool:
    """Return whether a control's own training came apart, and not what it needs."""
    return isinstance(error, FloatingPointError) or _code(error) in DIVERGED


def _code(error: Exception) -> str:
    return error.code if isinstance(error, CodedError) else ""


def train_arm(runner: StepRunner, spec: ControlSpec) -> TrainedControl:
    """Return the student of a control that learns on rollouts, or why it is left out.

    Grades that never differ within a group leave MOPD with the outcome nothing to add, and a
    student that diverged has nothing to compare.
    """
    arms = Arms(runner, spec.plan, spec.settings, spec.order, spec.seed, spec.budget, spec.before)
    try:
        checkpoint = arms.train(spec.control)
    except FeatureCheckError as error:
        is_of_grades = (error.code, error.feature) == ("no-effect", "outcome")
        if spec.control is not Control.MOPD_WITH_OUTCOME or not is_of_grades:
            raise
        return without(spec.control, ALIKE)
    except (TrainingAbortedError, RefusedError, FloatingPointError) as error:
        if not _diverged(error):
            raise
        return without(spec.control, str(error))
    return TrainedControl(
        control=spec.control, checkpoint=checkpoint, seconds=seconds_of(runner, checkpoint)
    )
