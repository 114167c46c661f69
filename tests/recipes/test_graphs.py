"""Every recipe runs at the scale micro, and its records show what each stage handed to the next."""

import importlib
import pkgutil

import pytest

from benchmarks.recipes.judged import claims_of
from lineage.graph.handed import model_edges
from tasks.contracts.scale import Scale
from tasks.evaluate.recipe_card import BASE, read_card
from tasks.platform.step_runner import StepRunner
from tests.recipes import graphs
from tests.recipes.graphs import RM
from workflows.commands.recipe import systems

SYSTEMS = sorted(module.name for module in pkgutil.iter_modules(graphs.__path__))


def edges_of(system):
    return importlib.import_module(f"tests.recipes.graphs.{system}").EDGES


def test_every_recipe_states_its_graph_and_its_claims():
    files = {f"tests/recipes/graphs/{name}.py" for name in systems()}
    assert files == {f"tests/recipes/graphs/{name}.py" for name in SYSTEMS}
    assert [system for system in SYSTEMS if not claims_of(system)] == []


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_records_have_the_graph_of_the_source(home, system):
    module = importlib.import_module(f"workflows.recipes.{system}")
    made = getattr(module, system)(scale=Scale.MICRO, seed=0)
    runner = StepRunner()
    card = read_card(runner, made.card)
    names = {stage.artifact.record: stage.name for stage in card.stages}
    names[card.base.record] = BASE
    found = {
        edge
        for stage in card.stages
        for edge in model_edges(runner.records, stage.artifact.record, card.base.record)
    }
    edges = {(names.get(e.parent, RM), names.get(e.child, RM), e.handed) for e in found}
    assert edges == edges_of(system)
    assert made.model.digest == card.stages[-1].artifact.digest
