"""The base of the testbed: made once for each scale, and found in the store by every recipe.

A small decoder reads lines of text (``tasks/sft/scratch.py``) and worked examples of all six
domains, right and wrong ones. So it answers every prompt in the form of its domain, solves some at
the first try and most within sixteen, and leaves to reinforcement learning what to choose.
"""

from typing import NamedTuple

from flytekit import workflow

from lineage.artifacts import Artifact
from tasks.contracts.handover import BlendSettings, Contribution, DomainSettings
from tasks.contracts.scale import Scale
from tasks.model.settings import ScratchSettings
from tasks.release.task import collect_blend, register_checkpoint, summarize
from tasks.sft.settings import BaseSettings, BedSettings, SftSettings
from tasks.sft.task import bed_at, make_base
from workflows.graph import named
from workflows.testbed.add.settings import DOMAIN as ADD
from workflows.testbed.form.settings import DOMAIN as FORM
from workflows.testbed.grid.settings import DOMAIN as GRID
from workflows.testbed.helpful.settings import DOMAIN as HELPFUL
from workflows.testbed.safe.settings import DOMAIN as SAFE
from workflows.testbed.sort.settings import DOMAIN as SORT
from workflows.testbed.tool.settings import DOMAIN as TOOL

NAME = "testbed"
"""Name under which the base is registered."""
OWNER = "foundation"
SEED = 0
"""Seed of the base, whatever the seed of the recipe."""
DOMAINS = (ADD, SORT, FORM, TOOL, HELPFUL, SAFE)
PICTURES = GRID
"""The domain with pictures. The base reads text alone, so a recipe has to give it a vision tower
first, and no other recipe is measured on it."""
VERIFIABLE = (ADD, SORT, FORM, TOOL)
"""Domains with a grade that a recipe may train on; the others have a gold score."""
_EXAMPLES = {"add": 6000, "sort": 7500, "form": 4500, "tool": 5500, "helpful": 4500, "safe": 3500}
"""Number of worked examples in the base's text, about as many as it reads once."""


def package_of(domain: DomainSettings) -> str:
    """Return the package with a domain's environment and prompts."""
    return f"workflows.testbed.{domain.name}"


def _blend(counts: dict[str, int]) -> BlendSettings:
    return BlendSettings(
        contributions=[
            Contribution(
                domain=domain.name,
                package=package_of(domain),
                owner=domain.owner,
                license=domain.license,
                count=counts[domain.name],
            )
            for domain in DOMAINS
        ]
    )


def _smaller(domain: DomainSettings) -> DomainSettings:
    """Return a domain with as few prompts as a test of a recipe needs."""
    few = {"num_train": 16, "num_validation": 8, "num_evaluation": 8, "num_demonstrations": 16}
    return domain.model_copy(update=few)


BEDS = [
    BedSettings(
        scale=Scale.MICRO,
        base=BaseSettings(
            scratch=ScratchSettings(
                vocabulary_size=300,
                hidden_size=32,
                num_layers=1,
                num_heads=2,
                num_key_value_heads=1,
                head_size=16,
                feed_forward_size=64,
                thinking=True,
            ),
            num_documents=50,
            row_tokens=160,
            reads_demonstrations=True,
            training=SftSettings(num_steps=4, batch_size=4, learning_rate=1e-2, warmup_steps=0),
        ),
        blend=_blend(dict.fromkeys(_EXAMPLES, 20)),
        domains=[_smaller(domain) for domain in (*DOMAINS, PICTURES)],
    ),
    BedSettings(
        scale=Scale.TINY,
        base=BaseSettings(
            # ours: the smallest of a million weights; a vocabulary in which each word is a token
            scratch=ScratchSettings(
                vocabulary_size=768,
                hidden_size=160,
                num_layers=4,
                feed_forward_size=400,
                thinking=True,
            ),
            num_documents=2500,
            row_tokens=144,
            reads_demonstrations=True,
            training=SftSettings(num_steps=900, batch_size=16, learning_rate=1e-2, muon=True),
        ),
        blend=_blend(_EXAMPLES),
        domains=[*DOMAINS, PICTURES],
    ),
    BedSettings(
        scale=Scale.PUBLISHED,
        # ours: an open base of a size that one node trains, with thinking modes in its template
        source="Qwen/Qwen3-8B-Base",
        base=BaseSettings(),
        blend=_blend(_EXAMPLES),
        domains=[*DOMAINS, PICTURES],
    ),
]
"""The testbed at each scale."""


class Laid(NamedTuple):
    """What every recipe on the testbed starts from."""

    summary: str
    """Name and version of the base, and where its weights are."""
    base: Artifact


def lay(scale: Scale) -> tuple[BedSettings, Artifact]:
    """Wire the base inside a ``@workflow``: returns the settings of the scale and the base."""
    bed = named("settings", bed_at(scale=scale, beds=BEDS))
    blend = named("collect-blend", collect_blend(blend=bed.blend, seed=SEED))
    made = make_base(source=bed.source, data=blend, settings=bed.base, seed=SEED)
    return bed, named("make-base", made)


@workflow
def make_testbed(scale: Scale = Scale.TINY) -> Laid:
    """Make the base of the testbed and register it as ``testbed``.

    Args:
        scale: micro for tests, tiny for two cores, published for a cluster.
    """
    _, base = lay(scale)
    registered = register_checkpoint(name=NAME, checkpoint=base, owner=OWNER)
    made = named("register", registered)
    return Laid(named("summary", summarize(made=made)), made)
