"""The launch form reaches every setting of a round, and none by two ways."""

import json

import pytest

from tasks.mopd.round_form import RoundForm
from tasks.mopd.settings import RoundSettings, Support
from tasks.onpolicy.settings import Correction, LoopSettings
from tasks.rollout.settings import SamplingEngine
from tests.support.refused import invalid, refused


def leaves(settings, before=""):
    """Yield the path and the value of each setting."""
    for name, value in settings.items():
        path = f"{before}{name}"
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


# Retrains mask, not people; the rungs of a round are its student alone; a server is no single text.
OF_NO_PERSON = {"distil.masked", "loop.rung_every", "sampling.vllm"}
DEFAULTS = dict(
    leaves(
        RoundSettings(loop=LoopSettings(num_steps=120, learning_rate=3e-4)).model_dump(mode="json")
    )
)
OWN = {
    "distil.balance.rule",
    "distil.balance.weights",
    "distil.delta_teachers",
    "distil.divergence",
    "distil.outcome_weight",
    "distil.reference_weight",
    "distil.top_k.k",
    "ladder_stages",
    "ledger.displacements",
    "ledger.precision",
    "loop.adapter",
    "loop.inner_updates",
    "loop.learning_rate",
    "loop.normalization",
    "loop.num_steps",
    "loop.precision",
    "prompts_per_domain",
    "rollouts_per_prompt",
    "sampling.max_new_tokens",
}


@pytest.mark.parametrize("path", sorted(DEFAULTS.keys() - OF_NO_PERSON))
def test_every_setting_is_an_input_or_a_path_and_never_both(path):
    value = DEFAULTS[path]
    text = value if isinstance(value, str) else json.dumps(value if value is not None else 4096)
    form = RoundForm(more_settings={path: text})
    if path in OWN:
        with refused("set-twice", f"'{path}'"):
            form.settings()
    else:
        expected = DEFAULTS | ({path: 4096} if value is None else {})
        assert dict(leaves(form.settings().model_dump(mode="json"))) == expected


def test_texts_become_what_belongs_there():
    settings = RoundForm(
        divergence="top_k",
        divergence_top_k=8,
        max_new_tokens=512,
        more_settings={
            "distil.importance.correction": "truncate",
            "distil.top_k.support": "union",
            "loop.activation_checkpointing": "true",
            "sampling.engine": "vllm",
            "sampling.temperature": "0.7",
            "sampling.vllm.served_model": "policy",
            "sampling.vllm.url": "http://127.0.0.1:8000",
            "sampling.vllm.weights_folder": "/dev/shm/weights",
        },
    ).settings()
    assert settings.distil.importance.correction is Correction.TRUNCATE
    assert (settings.distil.top_k.k, settings.distil.top_k.support) == (8, Support.UNION)
    assert settings.loop.activation_checkpointing is True
    assert (settings.sampling.temperature, settings.sampling.max_new_tokens) == (0.7, 512)
    assert settings.sampling.engine is SamplingEngine.VLLM
    assert settings.sampling.vllm.url == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("more", "code", "name"),
    [
        ({"health.runway": "stop"}, "extra_forbidden", "health.runway"),
        ({"health.runaway": "perhaps"}, "enum", "health.runaway"),
        ({"sampling.temperature": "warm"}, "float_parsing", "sampling.temperature"),
        ({"distil.advantage_clip": "2"}, "no-effect", "advantage_clip"),
        ({"": "1"}, "extra_forbidden", ""),
    ],
)
def test_a_path_or_a_text_that_means_nothing_is_refused_by_name(more, code, name):
    with invalid(code, name):
        RoundForm(more_settings=more).settings()


@pytest.mark.parametrize(
    "more",
    [
        {"loop.adapter.rank": "4"},
        {"placement.device": "disk", "placement": "disk"},
        {"placement": "disk", "placement.device": "disk"},
    ],
)
def test_paths_that_contradict_each_other_or_an_input_are_refused(more):
    with refused("set-twice"):
        RoundForm(more_settings=more).settings()


def test_unconfined_environments_are_allowed_around_the_rounds_too_and_change_no_recipe():
    allowed = RoundForm(more_settings={"sampling.allow_unconfined": "true"})
    assert allowed.settings().sampling.allow_unconfined
    assert allowed.sampling().allow_unconfined
    assert not RoundForm().sampling().allow_unconfined
    assert allowed.recipe() == RoundForm().recipe()
