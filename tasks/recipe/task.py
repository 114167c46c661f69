"""The Flyte task that chooses a recipe's numbers."""

from tasks.contracts.scale import Scale
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage
from tasks.recipe.settings import RecipeNumbers
from tasks.recipe.settings import numbers_at as row_at


@hosted(Stage.PLAN)
def numbers_at(scale: Scale, rows: list[RecipeNumbers]) -> RecipeNumbers:
    """Return the numbers of a recipe at a scale."""
    return row_at(scale, rows)
