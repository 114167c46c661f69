"""Flyte tasks of the cheap controls."""

from flytekit import task

from lineage.artifacts import Artifact
from tasks.handover import Plan
from tasks.merge.settings import MergeSettings


@task
def merge_average(plan: Plan) -> Artifact:
    """Average the teachers' weights."""
    from tasks.merge import controls
    from tasks.step import Bench

    return controls.merge_average(Bench(), plan)


@task
def merge_task_arithmetic(plan: Plan, settings: MergeSettings) -> Artifact:
    """Add the teachers' task vectors with the weight that scores best on validation prompts."""
    from tasks.merge import controls
    from tasks.step import Bench

    return controls.merge_task_arithmetic(Bench(), plan, settings)
