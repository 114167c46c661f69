"""Settings of a round that could not do what they say are refused."""

import pytest
from pydantic import ValidationError

from tasks.mopd.settings import DistilSettings, Divergence, RoundSettings
from tasks.onpolicy.settings import Correction, ImportanceMask, LoopSettings
from tests.support.refused import invalid

LOOP = LoopSettings(num_steps=1, learning_rate=1e-3)


def test_the_defaults_are_exact_divergence_one_rollout_a_prompt_and_a_clip_of_five():
    settings = RoundSettings(loop=LOOP)
    assert settings.distil.divergence == "full_vocabulary"
    assert (settings.distil.advantage_clip, settings.distil.outcome_weight) == (5.0, 0.0)
    assert (settings.distil.importance.low, settings.distil.importance.high) == (0.2, 5.0)
    assert settings.rollouts_per_prompt == 1


def test_an_outcome_weight_that_no_group_could_make_count_is_refused():
    outcome = DistilSettings(outcome_weight=0.5)
    with invalid("no-effect", "outcome_weight"):
        RoundSettings(loop=LOOP, distil=outcome)
    RoundSettings(loop=LOOP, distil=outcome, rollouts_per_prompt=2)


UNWEIGHTED = DistilSettings(importance=ImportanceMask(correction=Correction.NONE))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("importance.correction", {"distil": DistilSettings()}),
        (
            "distil.divergence",
            {"distil": UNWEIGHTED.model_copy(update={"divergence": Divergence.SAMPLED_TOKEN})},
        ),
        (
            "outcome_weight",
            {
                "distil": UNWEIGHTED.model_copy(update={"outcome_weight": 0.5}),
                "rollouts_per_prompt": 2,
            },
        ),
    ],
)
def test_rollouts_of_the_start_need_an_exact_divergence_without_weights(name, given):
    RoundSettings(loop=LOOP, frozen_rollouts=True, distil=UNWEIGHTED)
    with invalid("not-for-frozen-rollouts", name):
        RoundSettings(loop=LOOP, frozen_rollouts=True, **given)


def test_a_round_on_its_own_rollouts_is_recorded_as_before():
    assert "frozen_rollouts" not in RoundSettings(loop=LOOP).model_dump()


@pytest.mark.parametrize(
    "wrong",
    [
        {"advantage_clip": 0.0},
        {"outcome_weight": -0.1},
        {"divergence": "backward"},
        {"importance": {"low": 2.0, "high": 5.0}},
        {"top_k": 64},
        {"divergence": "top_k", "top_k": {"k": 0}},
        {"divergence": "top_k", "top_k": {"support": "nobody"}},
    ],
    ids=str,
)
def test_an_objective_that_cannot_work_is_refused(wrong):
    with pytest.raises(ValidationError):
        DistilSettings(**wrong)


@pytest.mark.parametrize(
    ("name", "form", "value"),
    [("advantage_clip", "sampled_token", 2.0), ("top_k", "top_k", {"k": 32})],
)
@pytest.mark.parametrize("divergence", ["full_vocabulary", "forward", "top_k", "sampled_token"])
def test_what_another_form_would_need_is_refused(name, form, value, divergence):
    if divergence == form:
        DistilSettings.model_validate({"divergence": divergence, name: value})
    else:
        with invalid("no-effect", name, form):
            DistilSettings.model_validate({"divergence": divergence, name: value})


@pytest.mark.parametrize("divergence", ["full_vocabulary", "forward", "top_k", "sampled_token"])
def test_explicit_defaults_of_other_forms_do_not_contradict(divergence):
    settings = DistilSettings.model_validate({"divergence": divergence})
    assert DistilSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_more_inner_updates_than_rollouts_of_a_domain_are_refused():
    loop = LOOP.model_copy(update={"inner_updates": 7})
    with invalid("too-few-rollouts", "7"):
        RoundSettings(loop=loop, prompts_per_domain=3, rollouts_per_prompt=2)
    RoundSettings(loop=loop, prompts_per_domain=7)


@pytest.mark.parametrize("wrong", [{"prompts_per_domain": 0}, {"rollouts_per_prompt": 0}], ids=str)
def test_a_round_without_rollouts_is_refused(wrong):
    with pytest.raises(ValidationError):
        RoundSettings(loop=LOOP, **wrong)
