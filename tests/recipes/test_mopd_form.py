"""The launch form of a recipe's consolidation says what the recipe's numbers say."""

import pytest

from tasks.contracts.handover import GateOrder
from tasks.mopd.round_form import RoundForm
from tasks.mopd.settings import Balance, Divergence
from tasks.onpolicy.settings import Normalization
from tasks.recipe.mopd_form import recipe_launch
from workflows.commands.recipe import recipe_module, systems

TEACHERS = ["math@3", "code@1=self"]
FORMS = [
    RoundForm(),
    RoundForm(
        divergence=Divergence.TOP_K,
        divergence_top_k=8,
        mopd_steps=7,
        rounds=2,
        normalization=Normalization.TOKEN_MEAN,
        ledger_displacements=False,
        prompts_per_domain=3,
        delta_teachers=["math", "code"],
        more_settings={"health.runaway": "stop", "loop.warmup_steps": "1"},
    ),
    RoundForm(balance=Balance.FIXED, balance_weights={"math": 2.0, "code": 1.0}),
]


@pytest.mark.parametrize("form", FORMS)
def test_the_form_holds_the_numbers_of_the_round_and_the_seed_of_the_recipe(form):
    gate = GateOrder(gate_prompts_per_domain=5)
    launch = recipe_launch("glm_5", form, gate, "base@1", TEACHERS, 3)
    assert launch.round() == form.model_copy(update={"seed": 3})
    assert launch.gate() == gate


def test_the_form_names_recipe_start_and_teachers():
    launch = recipe_launch("glm_5", RoundForm(), GateOrder(), "base@1", TEACHERS, 0)
    assert (launch.teachers, launch.student) == (TEACHERS, "base@1")
    assert (launch.publish_as, launch.preset) == ("glm_5", "glm_5")
    assert launch.controls().controls == []  # other recipes are what it is compared with


@pytest.mark.parametrize("system", systems())
def test_the_rounds_of_every_scale_are_valid(system):
    """The published ones too, which do not run here."""
    for row in recipe_module(system).ROWS:
        for form in row.mopd.values():
            launch = recipe_launch(system, form, row.gate, "base@1", TEACHERS, 0)
            assert launch.round().settings() == form.settings()
