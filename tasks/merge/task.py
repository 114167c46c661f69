"""Flyte tasks of the merges: the cheap controls of a consolidation, and soups of checkpoints."""

from lineage.artifacts import Artifact
from tasks.contracts.handover import Plan, StageLabel
from tasks.contracts.named import named
from tasks.merge.settings import MergeSettings, SoupSettings, WeightedCheckpoint
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


@hosted(Stage.MERGE)
def merge_checkpoints(
    start: Artifact,
    models: list[Artifact],
    names: list[str],
    settings: SoupSettings,
    seed: int,
    stage: StageLabel,
) -> Artifact:
    """Merge checkpoints with equal shares; their weights come from ``start``."""
    from tasks.merge import soup
    from tasks.platform.step_runner import StepRunner

    weighted = [
        WeightedCheckpoint(name=model.name, checkpoint=model.artifact)
        for model in named(models, names, "models")
    ]
    return soup.merge_checkpoints(StepRunner(), start, weighted, settings, seed, stage)
