"""What every recipe begins and ends with: the testbed, its domains, and the card."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lineage.artifacts import Artifact, Rung
from tasks.contracts.handover import Domain
from tasks.contracts.scale import Scale
from tasks.evaluate.settings import RecipeLabel
from tasks.evaluate.task import recipe_label, score_recipe
from tasks.recipe.settings import RecipeNumbers
from tasks.recipe.task import finished_policy, numbers_at
from tasks.release.task import collect_domain
from workflows.graph import named
from workflows.testbed.base import DOMAINS, SEED, lay, package_of

OWNER = "recipes"
"""Owner of what a recipe makes."""


class Made(NamedTuple):
    """What a recipe leaves behind."""

    model: Artifact
    """The last checkpoint."""
    card: Artifact
    """Scores of all stages, forgetting, drift and cost."""


class Begun(NamedTuple):
    """What a recipe starts from; all are promises inside a ``@workflow``."""

    numbers: RecipeNumbers
    base: Artifact
    domains: Mapping[str, Domain]


def begin(scale: Scale, rows: Sequence[RecipeNumbers]) -> Begun:
    """Wire the numbers of the scale, the base, and the data of all domains of the testbed.

    Data does not depend on the recipe's seed, so all recipes and seeds train on the same prompts,
    and each is measured on every domain, whether it trains on it or not.
    """
    numbers = named("numbers", numbers_at(scale=scale, rows=list(rows)))
    bed, base = lay(scale)
    collected = {}
    for place, domain in enumerate(DOMAINS):
        made = collect_domain(package=package_of(domain), settings=bed.domains[place], seed=SEED)
        collected[domain.name] = named(f"collect-{domain.name}", made)
    return Begun(numbers, base, collected)


def last_rung(name: str, ladder: list[Rung]) -> Artifact:
    """Wire the choice of a ladder's last checkpoint."""
    return named(f"last-of-{name}", finished_policy(ladder=ladder))


def finish(
    system: str,
    scale: Scale,
    seed: int,
    begun: Begun,
    stages: Mapping[str, Artifact],
) -> Made:
    """Wire the card: every stage on every domain. The last stage is the model."""
    label: RecipeLabel = named("label", recipe_label(system=system, scale=scale, seed=seed))
    checkpoints: list[Any] = list(stages.values())
    card = score_recipe(
        label=label,
        base=begun.base,
        stages=checkpoints,
        names=list(stages),
        domains=list(begun.domains.values()),
        sampling=begun.numbers.sampling,
    )
    return Made(checkpoints[-1], named("card", card))
