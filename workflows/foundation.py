"""The foundation: makes the base, and the fork point that teachers and student start from."""

from typing import NamedTuple

from flytekit import workflow

from lineage.artifacts import Artifact
from tasks.contracts.handover import BlendSettings, Contribution, StageLabel
from tasks.release.task import check_foundation, collect_blend, register_checkpoint, summarize
from tasks.sft.settings import BaseSettings, SftSettings
from tasks.sft.task import finetune, make_base
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
            licence=LICENSE,
            count=16_000,
        ),
        Contribution(
            domain="code",
            package="workflows.teachers.code",
            owner="team-code",
            licence=LICENSE,
            count=8_000,
        ),
        Contribution(
            domain="agent",
            package="workflows.teachers.agent",
            owner="team-agent",
            licence=LICENSE,
            count=8_000,
        ),
        Contribution(
            domain="instruct",
            package="workflows.teachers.instruct",
            owner="team-instruct",
            licence=LICENSE,
            count=8_000,
        ),
    ]
)
SHARED_SFT = SftSettings(num_steps=1500, batch_size=32, learning_rate=5e-3, muon=True)


class Founded(NamedTuple):
    """What the foundation leaves behind."""

    summary: str
    """Name and version of the fork point, and where its weights are."""
    fork_point: Artifact


@workflow
def import_checkpoint(source: str, name: str = "fork-point") -> Founded:
    """Register a Hugging Face model without training, as base or as fork point.

    Args:
        source: Path of a folder, or id on the Hub, with a revision behind an @ if needed.
        name: base or fork-point.
    """
    imported = make_base(source=source, data=[], settings=BaseSettings(), seed=0)
    registered = register_checkpoint(name=name, checkpoint=named("import", imported), owner=OWNER)
    made = named("register", registered)
    return Founded(named("summary", summarize(made=made)), made)


@workflow
def foundation(model: str = "", seed: int = 0) -> Founded:
    """Make the fork point.

    Args:
        model: Path or id of a Hugging Face model; empty trains a small model from scratch.
        seed: Random seed for the base, the data and the shared SFT.
    """
    blend = named("collect-blend", collect_blend(blend=BLEND, seed=seed))
    settings = BaseSettings()
    checked = check_foundation(data=blend, source=model, scratch=settings.scratch)
    data = named("check", checked)
    base = named("make-base", make_base(source=model, data=data, settings=settings, seed=seed))
    of_base = register_checkpoint(name="base", checkpoint=base, owner=OWNER)
    fork_point = finetune(
        start=named("register-base", of_base),
        data=data,
        settings=SHARED_SFT,
        seed=seed,
        stage=StageLabel(name="fork point sft", owner=OWNER),
    )
    registered = register_checkpoint(
        name="fork-point", checkpoint=named("shared-sft", fork_point), owner=OWNER
    )
    made = named("register-fork-point", registered)
    return Founded(named("summary", summarize(made=made)), made)
