"""Flyte tasks that choose: a recipe's numbers, a checkpoint of a ladder."""

from lineage.artifacts import Artifact, Rung
from tasks.contracts.scale import Scale
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage
from tasks.recipe.settings import RecipeNumbers
from tasks.recipe.settings import numbers_at as row_at


@hosted(Stage.PLAN)
def numbers_at(scale: Scale, rows: list[RecipeNumbers]) -> RecipeNumbers:
    """Return the numbers of a recipe at a scale."""
    return row_at(scale, rows)


@hosted(Stage.PLAN)
def finished_policy(ladder: list[Rung]) -> Artifact:
    """Return the last checkpoint of a ladder."""
    return ladder[-1].checkpoint


@hosted(Stage.PLAN)
def late_policy(ladder: list[Rung], before: int) -> Artifact:
    """Return the checkpoint ``before`` rungs before a ladder's last, at most its first."""
    return ladder[max(-1 - before, -len(ladder))].checkpoint
