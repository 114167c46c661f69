"""Flyte task of a reward model's training."""

from functools import partial

from lineage.artifacts import Artifact
from tasks.contracts.handover import StageLabel
from tasks.platform import resources
from tasks.platform.hosting import hosted, show
from tasks.reward_model.settings import RewardModelSettings


@hosted(resources.Stage.SFT, deck=True)
def train_reward_model(
    start: Artifact,
    comparisons: list[Artifact],
    demonstrations: list[Artifact],
    settings: RewardModelSettings,
    seed: int,
    stage: StageLabel,
) -> Artifact:
    """Train a reward model on comparisons; demonstrations, if any, set its zero."""
    from tasks.platform.step_runner import StepRunner
    from tasks.platform.views import drawn_live
    from tasks.reports.curves import measured_page
    from tasks.reward_model import steps

    with drawn_live(partial(measured_page, stage.name), partial(show, "training")):
        data = steps.RewardData(comparisons, demonstrations)
        return steps.train_reward_model(StepRunner(), start, data, settings, seed, stage)
