"""Flyte tasks of the cheap controls."""

from lineage.artifacts import Artifact
from tasks.contracts.handover import Plan
from tasks.merge.settings import MergeSettings
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage
from tasks.rollout.settings import SamplingSettings


@hosted(Stage.MERGE)
def merge_average(plan: Plan) -> Artifact:
    """Average the teachers' weights."""
    from tasks.merge import controls
    from tasks.platform.step_runner import StepRunner

    return controls.merge_average(StepRunner(), plan)


@hosted(Stage.MERGE)
def merge_task_arithmetic(plan: Plan, sampling: SamplingSettings) -> Artifact:
    """Add the teachers' task vectors with the weight that scores best on validation prompts."""
    from tasks.merge import controls
    from tasks.platform.step_runner import StepRunner

    settings = MergeSettings(sampling=sampling)
    return controls.merge_task_arithmetic(StepRunner(), plan, settings)
