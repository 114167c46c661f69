"""Flyte tasks of the trained controls: what is planned runs as a map, one pod for each control."""

from lineage.artifacts import Artifact
from tasks.contracts.controls import TrainedControl
from tasks.contracts.handover import Plan
from tasks.controls.specs import ControlSpec
from tasks.mopd.round_form import ConsolidationSpec
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage


@hosted(Stage.PLAN)
def plan_off_policy(plan: Plan, student: Artifact, spec: ConsolidationSpec) -> list[ControlSpec]:
    """Plan the controls that learn from the teachers' answers; none if none is wanted."""
    from tasks.controls import planned as step
    from tasks.platform.step_runner import StepRunner

    return step.plan_off_policy(StepRunner(), plan, student, spec)


@hosted(Stage.SFT)
def train_off_policy(spec: ControlSpec) -> TrainedControl:
    """Train the student's start on the teachers' graded answers, for the student's time."""
    from tasks.controls import planned as step
    from tasks.platform.step_runner import StepRunner

    return step.train_off_policy(StepRunner(), spec)


@hosted(Stage.PLAN)
def plan_arms(
    plan: Plan, student: Artifact, spec: ConsolidationSpec, off_policy: list[TrainedControl]
) -> list[ControlSpec]:
    """Plan the controls that learn on rollouts; none if none is wanted."""
    from tasks.controls import planned as step
    from tasks.platform.step_runner import StepRunner

    return step.plan_arms(StepRunner(), plan, student, spec, off_policy)


@hosted(Stage.MOPD_ROUND)
def train_arm(spec: ControlSpec) -> TrainedControl:
    """Train one control by RL or by another MOPD, for the student's time."""
    from tasks.controls import planned as step
    from tasks.platform.step_runner import StepRunner

    return step.train_arm(StepRunner(), spec)
