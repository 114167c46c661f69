"""What every recipe begins and ends with, run by Flyte's local execution at the smallest scale."""

import pytest
from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.evaluate.recipe_card import read_card
from tasks.platform.step_runner import StepRunner
from tasks.recipe.settings import RecipeNumbers, table
from tasks.sft.settings import SftSettings
from workflows.recipes.kit import Made, RecipeRun
from workflows.testbed.base import DOMAINS

TINY = RecipeNumbers(
    scale=Scale.TINY,
    sft={
        "cold": SftSettings(num_steps=20, learning_rate=1e-3),
        "again": SftSettings(num_steps=20, learning_rate=1e-2),
    },
)
ROWS = table(TINY, TINY.model_copy(update={"scale": Scale.PUBLISHED}))


@workflow
def two_stages(scale: Scale = Scale.MICRO, seed: int = 0) -> Made:
    """Fine-tune twice, the second time from the base again."""
    run = RecipeRun("two_stages", scale, seed, ROWS)
    for name in ("cold", "again"):
        run.sft(name, run.base, [run.domain("add").demonstrations])
    return run.finish()


@pytest.mark.slow
def test_a_recipe_leaves_its_model_and_a_card_of_all_stages(home):
    made = two_stages()
    card = read_card(StepRunner(), made.card)
    assert [stage.name for stage in card.stages] == ["cold", "again"]
    assert card.stages[-1].artifact.digest == made.model.digest
    assert card.scores.keys() == {"base", "cold", "again"}
    assert card.scores["cold"].keys() == {domain.name for domain in DOMAINS}
    assert card.cost["sft"].steps == 2
    assert card.cost["sft"].tokens_trained > 0
    assert card.drift["again"]["add"] > 0
    assert two_stages().card.record == made.card.record  # found, not made
