"""The reference to a recipe's start, where two records gave the same bits."""

from lineage.registry.registry import Registry
from tasks.platform.step_runner import StepRunner
from tasks.recipe.references import reference_to
from tests.support.mirrors import MemoryMirror
from tests.support.runs import Maker


def test_it_names_the_record_that_this_recipe_registered(home):
    make = Maker(StepRunner(mirror=MemoryMirror()))
    registry = Registry(make.runner.store)
    one, other = make.checkpoint(0, "sft"), make.checkpoint(0, "rl")
    assert one.digest == other.digest
    for name, checkpoint in (("recipe.a.mopd", other), ("recipe.b.mopd", one)):
        registry.register(name, checkpoint, owner="recipes")
    for name, checkpoint in (("recipe.a.mopd", other), ("recipe.b.mopd", one)):
        entry = registry.resolve(reference_to(make.runner, name, checkpoint))
        assert (entry.name, entry.record) == (name, checkpoint.record)
