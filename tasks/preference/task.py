"""Flyte task of learning from preferences."""

from functools import partial

from lineage.artifacts import Artifact
from tasks.contracts.handover import StageLabel
from tasks.platform import resources
from tasks.platform.hosting import hosted, show
from tasks.preference.settings import PreferenceSettings


@hosted(resources.Stage.SFT, deck=True)
def learn_preferences(
    start: Artifact,
    comparisons: list[Artifact],
    reference: Artifact,
    settings: PreferenceSettings,
    seed: int,
    stage: StageLabel,
) -> Artifact:
    """Train a checkpoint by DPO on comparisons; its reference is mostly the start itself."""
    from tasks.platform.step_runner import StepRunner
    from tasks.platform.views import drawn_live
    from tasks.preference import steps
    from tasks.reports.curves import measured_page

    with drawn_live(partial(measured_page, stage.name), partial(show, "training")):
        data = steps.PreferenceData(comparisons, reference)
        return steps.learn_preferences(StepRunner(), start, data, settings, seed, stage)
