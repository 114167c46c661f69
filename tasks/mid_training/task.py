"""Flyte tasks of mid-training."""

from functools import partial

from lineage.artifacts import Artifact
from tasks.contracts.handover import StageLabel
from tasks.mid_training.settings import MidTrainingSettings
from tasks.platform import resources
from tasks.platform.hosting import hosted, show


@hosted(resources.Stage.COLLECT)
def bring_text(file: str, owner: str) -> Artifact:
    """Bring documents with source and license in, from a JSONL file."""
    from pathlib import Path

    from tasks.mid_training import steps
    from tasks.platform.step_runner import StepRunner

    return steps.bring_text(StepRunner(), Path(file), owner)


@hosted(resources.Stage.SFT, deck=True)
def read_on(
    start: Artifact,
    text: list[Artifact],
    evaluation: list[Artifact],
    settings: MidTrainingSettings,
    seed: int,
    stage: StageLabel,
) -> Artifact:
    """Continue the pre-training of a checkpoint on text that holds no evaluation prompt."""
    from tasks.mid_training import steps
    from tasks.platform.step_runner import StepRunner
    from tasks.platform.views import drawn_live
    from tasks.reports.curves import measured_page

    with drawn_live(partial(measured_page, stage.name), partial(show, "training")):
        data = steps.TextData(text, evaluation)
        return steps.read_on(StepRunner(), start, data, settings, seed, stage)
