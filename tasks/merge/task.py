"""Flyte tasks of the merges: the cheap controls of a consolidation, and soups of checkpoints."""

from lineage.artifacts import Artifact
from tasks.contracts.controls import ControlOrder
from tasks.contracts.handover import Plan, StageLabel
from tasks.contracts.named import NamedArtifact, named
from tasks.merge.settings import MergeSettings, SoupSettings, WeightedCheckpoint
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage
from tasks.rollout.settings import SamplingSettings


@hosted(Stage.MERGE)
def merge_controls(
    plan: Plan, order: ControlOrder, sampling: SamplingSettings
) -> list[NamedArtifact]:
    """Merge the teachers' weights in each way that is wanted; the numbers suit validation best."""
    from tasks.merge import controls
    from tasks.platform.step_runner import StepRunner

    return controls.merge_controls(StepRunner(), plan, order, MergeSettings(sampling=sampling))


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
