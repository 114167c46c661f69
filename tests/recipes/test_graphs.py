"""Every recipe runs at the scale micro, and its records show what each stage handed to the next."""

import importlib

import pytest

from lineage.graph.handed import Handed, model_edges
from tasks.contracts.scale import Scale
from tasks.evaluate.recipe_card import BASE, read_card
from tasks.platform.step_runner import StepRunner
from workflows.commands.recipe import systems

W, D, S = Handed.WEIGHTS, Handed.DATA, Handed.SCORES
K = Handed.REFERENCE
RM = "reward model"
MOPD = ("form", "add", "sort")
FIRST_ROUND = ("dpo-1-high", "dpo-1-low", "average-1")
GRAPHS = {
    "deepseek_r1_zero": {(BASE, "zero", W)},
    # The experts hand on what they wrote, and no weight: the last SFT starts from the base again.
    "deepseek_v3": {
        *(
            edge
            for name in ("add", "sort", "form")
            for edge in (
                (BASE, f"{name}-sft", W),
                (f"{name}-sft", f"{name}-expert", W),
                (f"{name}-expert", "final", D),
            )
        ),
        (BASE, "final", W),
        ("final", "grpo", W),
    },
    # Two models write the pairs, nobody compares them, and DPO's own pass rates choose the prompts.
    "olmo_3": {
        (BASE, "strong", W),
        (BASE, "high", W),
        (BASE, "low", W),
        (BASE, "soup", W),
        ("high", "soup", W),
        ("low", "soup", W),
        ("strong", "dpo", D),
        (BASE, "dpo", D),
        ("soup", "dpo", W),
        ("soup", "dpo", K),
        ("dpo", "rl", W),
        ("dpo", "rl", S),
    },
    # Rounds hand on data only: reward model and SFT start from the base each time, and the reward
    # model filters. DPO takes the newest comparisons alone.
    "llama_3": {
        (BASE, RM, W),
        (BASE, RM, D),
        *((name, RM, D) for name in FIRST_ROUND),
        (BASE, "sft-1", D),
        *((name, "sft-2", D) for name in FIRST_ROUND),
        *((name, f"dpo-2-{rate}", D) for name in FIRST_ROUND for rate in ("high", "low")),
        *((BASE, f"dpo-1-{rate}", D) for rate in ("high", "low")),
        *(
            edge
            for number in (1, 2)
            for edge in (
                (BASE, f"sft-{number}", W),
                (RM, f"sft-{number}", S),
                (f"sft-{number}", f"average-{number}", W),
            )
        ),
        *(
            edge
            for number in (1, 2)
            for rate in ("high", "low")
            for edge in (
                (f"sft-{number}", f"dpo-{number}-{rate}", W),
                (f"sft-{number}", f"dpo-{number}-{rate}", K),
                (f"dpo-{number}-{rate}", f"average-{number}", W),
            )
        ),
    },
    "mopd_baselines": {
        (BASE, "sft", W),
        *(("sft", f"{name}-teacher", W) for name in MOPD),
        *((f"{name}-teacher", "off-policy", D) for name in MOPD),
        ("sft", "off-policy", W),
        *(("sft", merge, W) for merge in ("average", "arithmetic")),
        *((f"{name}-teacher", merge, W) for name in MOPD for merge in ("average", "arithmetic")),
        ("form-teacher", "cascade-2-add", W),
        ("cascade-2-add", "cascade-3-sort", W),
        ("sft", "mix", W),
    },
}
"""What handed what on to what: (stage, stage, what), as the sources have it."""


def test_every_recipe_states_its_graph():
    assert systems().keys() == GRAPHS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("system", GRAPHS)
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
    assert edges == GRAPHS[system]
    assert made.model.digest == card.stages[-1].artifact.digest
