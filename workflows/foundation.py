"""The foundation: makes the base, and the fork point that teachers and student start from."""

from typing import NamedTuple

from flytekit import workflow

from lineage.artifacts import Artifact
from tasks.contracts.handover import BlendSettings, Contribution, StageLabel
from tasks.model.settings import Precision, StoredAs
from tasks.release.task import check_foundation, collect_blend, register_checkpoint, summarize
from tasks.sft.settings import BaseSettings, FoundationPreset
from tasks.sft.task import finetune, import_model, make_base, shared_stage
from workflows.graph import named

OWNER = "foundation"
LICENSE = "Apache-2.0"
"""License of the demonstrations that this repository's teams contribute."""
BLEND = BlendSettings(
    contributions=[
        # Sums in words are the hardest of the four to learn, so they get twice the data.
        Contribution(
            domain="math",
            package="workflows.teachers.math",
            owner="team-math",
            license=LICENSE,
            count=16_000,
        ),
        Contribution(
            domain="code",
            package="workflows.teachers.code",
            owner="team-code",
            license=LICENSE,
            count=8_000,
        ),
        Contribution(
            domain="agent",
            package="workflows.teachers.agent",
            owner="team-agent",
            license=LICENSE,
            count=8_000,
        ),
        Contribution(
            domain="instruct",
            package="workflows.teachers.instruct",
            owner="team-instruct",
            license=LICENSE,
            count=8_000,
        ),
    ]
)


class Founded(NamedTuple):
    """What the foundation leaves behind."""

    summary: str
    """Name and version of the fork point, and where its weights are."""
    fork_point: Artifact


@workflow
def import_checkpoint(
    source: str,
    name: str = "fork-point",
    license: str = "",
    *,
    saved_precision: StoredAs = StoredAs.AUTO,
) -> Founded:
    """Register a Hugging Face model without training, as base or as fork point.

    Args:
        source: Path of a folder, or id on the Hub, with a revision behind an @ if needed.
        name: base or fork-point.
        license: License of the model; empty for the one that its files state.
        saved_precision: Floating-point format of the stored weights; auto keeps bf16.
    """
    imported = import_model(
        source=source, name=name, license=license, saved_precision=saved_precision
    )
    registered = register_checkpoint(name=name, checkpoint=named("import", imported), owner=OWNER)
    made = named("register", registered)
    return Founded(named("summary", summarize(made=made)), made)


@workflow
def foundation(
    model: str = "",
    seed: int = 0,
    *,
    preset: FoundationPreset = FoundationPreset.FROM_SCRATCH,
    sft_steps: int = 0,
    sft_batch_size: int = 0,
    sft_learning_rate: float = 0.0,
    sft_warmup_steps: int = -1,
    saved_precision: Precision = Precision.FP32,
) -> Founded:
    """Make the fork point.

    Args:
        model: Path or id of a Hugging Face model; empty trains a small model from scratch.
        seed: Random seed for the base, the data and the shared SFT.
        preset: Numbers of the shared SFT; from-scratch, or instruct for a pre-trained model.
        sft_steps: Optimizer steps of the shared SFT; 0 for the preset's.
        sft_batch_size: Rows per optimizer step; 0 for the preset's.
        sft_learning_rate: Peak learning rate; 0 for the preset's.
        sft_warmup_steps: Steps to the peak learning rate; -1 for the preset's.
        saved_precision: Floating-point format of the stored fork point.
    """
    stage = shared_stage(
        preset=preset,
        steps=sft_steps,
        batch_size=sft_batch_size,
        learning_rate=sft_learning_rate,
        warmup_steps=sft_warmup_steps,
        saved_precision=saved_precision,
    )
    numbers = named("settings", stage)
    blend = named("collect-blend", collect_blend(blend=BLEND, seed=seed))
    settings = BaseSettings()
    checked = check_foundation(data=blend, source=model, scratch=settings.scratch)
    data = named("check", checked)
    base = named("make-base", make_base(source=model, data=data, settings=settings, seed=seed))
    of_base = register_checkpoint(name="base", checkpoint=base, owner=OWNER)
    fork_point = finetune(
        start=named("register-base", of_base),
        data=data,
        settings=numbers,
        seed=seed,
        stage=StageLabel(name="fork point sft", owner=OWNER),
    )
    registered = register_checkpoint(
        name="fork-point", checkpoint=named("shared-sft", fork_point), owner=OWNER
    )
    made = named("register-fork-point", registered)
    return Founded(named("summary", summarize(made=made)), made)
