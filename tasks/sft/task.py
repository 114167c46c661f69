"""Flyte tasks of the supervised stages."""

from functools import partial

from lineage.artifacts import Artifact
from tasks.contracts.handover import Gated, Plan, StageLabel
from tasks.contracts.remedies import WarmUpSettings
from tasks.contracts.scale import Scale
from tasks.model.settings import Precision, StoredAs
from tasks.platform import resources
from tasks.platform.hosting import hosted, show
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import (
    BaseSettings,
    BedSettings,
    FoundationPreset,
    ImageBaseSettings,
    SftSettings,
    at_scale,
)


@hosted(resources.Stage.FOUNDATION)
def make_base(source: str, data: list[Artifact], settings: BaseSettings, seed: int) -> Artifact:
    """Make the base: a Hugging Face model by path or id, or a small one trained from scratch."""
    from tasks.platform.step_runner import StepRunner
    from tasks.sft import steps

    return steps.make_base(StepRunner(), source, data, settings, seed)


@hosted(resources.Stage.FOUNDATION)
def make_image_base(
    start: Artifact, data: list[Artifact], settings: ImageBaseSettings, seed: int
) -> Artifact:
    """Give a text model a vision tower, and train both on demonstrations of text and images."""
    from tasks.platform.step_runner import StepRunner
    from tasks.sft import image_base

    return image_base.make_image_base(StepRunner(), start, data, settings, seed)


@hosted(resources.Stage.FOUNDATION)
def make_text(num_documents: int, seed: int) -> Artifact:
    """Write documents such as a base from scratch reads, for stages that mix them in."""
    from tasks.platform.step_runner import StepRunner
    from tasks.sft import steps

    return steps.make_text(StepRunner(), num_documents, seed)


@hosted(resources.Stage.FOUNDATION)
def import_model(source: str, name: str, license: str, saved_precision: StoredAs) -> Artifact:
    """Bring a Hugging Face model in without training, as base or as fork-point."""
    from tasks.platform.step_runner import StepRunner
    from tasks.sft import brought

    speaks = name != "base"
    return brought.bring_base(StepRunner(), source, license, saved_precision, speaks=speaks)


@hosted(resources.Stage.PLAN)
def shared_stage(
    preset: FoundationPreset,
    steps: int,
    batch_size: int,
    learning_rate: float,
    warmup_steps: int,
    saved_precision: Precision,
) -> SftSettings:
    """Return a preset's numbers of the shared supervised stage, with those that were given."""
    from tasks.sft.brought import shared_stage as chosen

    return chosen(preset, steps, batch_size, learning_rate, warmup_steps, saved_precision)


@hosted(resources.Stage.PLAN)
def bed_at(scale: Scale, beds: list[BedSettings]) -> BedSettings:
    """Return the settings of the testbed at a scale."""
    return at_scale(scale, beds)


@hosted(resources.Stage.SFT, deck=True)
def finetune(
    start: Artifact, data: list[Artifact], settings: SftSettings, seed: int, stage: StageLabel
) -> Artifact:
    """Fine-tune a checkpoint on demonstrations."""
    from tasks.platform.step_runner import StepRunner
    from tasks.platform.views import drawn_live
    from tasks.reports.curves import measured_page
    from tasks.sft import steps

    with drawn_live(partial(measured_page, stage.name), partial(show, "training")):
        return steps.finetune(StepRunner(), start, data, settings, seed, stage)


@hosted(resources.Stage.SFT)
def warm_up_student(
    gated: Gated, settings: WarmUpSettings, sampling: SamplingSettings, seed: int
) -> Plan:
    """Warm the student up on the answers of the teachers for which the gate requires it."""
    from tasks.platform.step_runner import StepRunner
    from tasks.sft import warm_up

    return warm_up.warm_up_student(StepRunner(), gated, settings, sampling, seed)
