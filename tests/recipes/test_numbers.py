"""The table of a recipe's numbers: three scales with the same stages."""

import pytest

from tasks.contracts.scale import Scale
from tasks.distil_traces.settings import TraceSettings, TraceSource
from tasks.onpolicy.settings import LoopSettings
from tasks.recipe.settings import RecipeNumbers, numbers_at, table
from tasks.rejection_sampling.demonstrations import DemonstrationRule, Keep
from tasks.rejection_sampling.settings import ResponseSettings
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from tests.support.refused import refused
from workflows.commands.recipe import recipe_module, systems

RL = RlSettings(
    loop=LoopSettings(num_steps=30, learning_rate=5e-4, rung_every=10),
    sampling=SamplingSettings(max_new_tokens=96),
    prompts_per_step=8,
    rollouts_per_prompt=8,
)
SFT = SftSettings(num_steps=100, learning_rate=1e-3)
TINY = RecipeNumbers(
    scale=Scale.TINY,
    sft={"cold": SFT},
    rl={"zero": RL},
    responses={"all": ResponseSettings(samples_per_prompt=16)},
)
PUBLISHED = TINY.model_copy(update={"scale": Scale.PUBLISHED})


def test_micro_has_every_length_cut_and_nothing_else_changed():
    micro = numbers_at(Scale.MICRO, table(TINY, PUBLISHED))
    assert (micro.sft["cold"].num_steps, micro.sft["cold"].batch_size) == (2, 4)
    assert micro.sft["cold"].learning_rate == 1e-3
    zero = micro.rl["zero"]
    assert (zero.loop.num_steps, zero.loop.rung_every) == (2, 1)
    assert (zero.prompts_per_step, zero.rollouts_per_prompt) == (2, 2)
    assert zero.sampling.max_new_tokens == 12  # an eighth of 96
    assert micro.responses["all"].samples_per_prompt == 2
    assert micro.responses["all"].num_prompts == 0  # all of them, which micro's domains make few


def test_a_length_below_the_cut_stays():
    short = SFT.model_copy(update={"num_steps": 1})
    rows = table(*(row.model_copy(update={"sft": {"cold": short}}) for row in (TINY, PUBLISHED)))
    assert numbers_at(Scale.MICRO, rows).sft["cold"].num_steps == 1


def test_a_minimum_that_is_not_set_stays_so():
    sources = [TraceSource(name="all"), TraceSource(name="any", least_score=None)]
    traces = {"traces": TraceSettings(sources=sources)}
    rows = table(*(r.model_copy(update={"traces": traces}) for r in (TINY, PUBLISHED)))
    micro = numbers_at(Scale.MICRO, rows).traces["traces"]
    assert [source.least_score for source in micro.sources] == [0.0, None]


def test_the_other_scales_are_as_stated():
    rows = table(TINY, PUBLISHED)
    assert numbers_at(Scale.TINY, rows) == TINY
    assert numbers_at(Scale.PUBLISHED, rows) == PUBLISHED


@pytest.mark.parametrize("system", systems())
def test_the_numbers_of_every_recipe_are_valid_at_every_scale(system):
    """A copy with other values is not checked when it is made."""
    rows = recipe_module(system).ROWS
    assert [row.scale for row in rows] == [Scale.MICRO, Scale.TINY, Scale.PUBLISHED]
    for row in rows:
        assert RecipeNumbers.model_validate(row.model_dump(mode="json")) == row


def test_scales_with_other_stages_are_refused():
    with refused("unlike-scales"):
        table(TINY, PUBLISHED.model_copy(update={"rl": {}}))
    with refused("unlike-scales"):
        table(TINY, TINY)


def test_micro_keeps_answers_that_are_wrong_because_none_is_right():
    rules = {"right": DemonstrationRule(keep=Keep.CORRECT)}
    rows = table(*(r.model_copy(update={"demonstrations": rules}) for r in (TINY, PUBLISHED)))
    assert numbers_at(Scale.MICRO, rows).demonstrations["right"].keep is Keep.TOP
    assert numbers_at(Scale.TINY, rows).demonstrations["right"].keep is Keep.CORRECT
