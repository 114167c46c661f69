"""The launch form: few inputs, and every other setting by its name, checked before all else."""

import json

import pytest
from pydantic import ValidationError

from tasks.contracts.inputs import InputError
from tasks.mopd.launch_form import MORE, LaunchForm, merged, settable_paths, split
from tasks.mopd.round_form import RoundForm
from tasks.mopd.settings import Balance, Divergence


def form(*settings, **inputs):
    return LaunchForm(settings=list(settings), **inputs)


def test_the_form_is_short_and_each_input_has_a_description():
    assert len(LaunchForm.model_fields) <= 12
    for name, field in {**LaunchForm.model_fields, **MORE}.items():
        assert field.description, name
        assert not field.is_required(), name


def test_without_settings_a_round_is_the_default_one():
    assert form().round() == RoundForm()


def test_inputs_and_settings_become_one_round():
    asked = form(
        "balance=fixed",
        "balance_weights.math=2",
        "balance_weights.code=0.5",
        "delta_teachers=math, code",
        "ledger_displacements=false",
        "max_new_tokens=512",
        "health.runaway=stop",
        divergence=Divergence.TOP_K,
        mopd_steps=7,
    ).round()
    assert asked == RoundForm(
        balance=Balance.FIXED,
        balance_weights={"math": 2.0, "code": 0.5},
        delta_teachers=["math", "code"],
        divergence=Divergence.TOP_K,
        ledger_displacements=False,
        max_new_tokens=512,
        mopd_steps=7,
        more_settings={"health.runaway": "stop"},
    )
    assert asked.settings().health.runaway == "stop"


def test_the_gate_s_settings_go_to_the_gate():
    asked = form("gate_prompts_per_domain=0", "refuse_findings_from=warning")
    gate = asked.gate()
    assert (gate.gate_prompts_per_domain, gate.refuse_findings_from) == (0, "warning")
    assert asked.round() == RoundForm()


@pytest.mark.parametrize("path", settable_paths())
def test_every_path_that_is_listed_can_be_set(path):
    value = RoundForm().settings().model_dump(mode="json")
    for part in path.split("."):
        value = value.get(part) if value else None  # some are left out at their default
    text = value if isinstance(value, str) else json.dumps(value)
    assert "extra_forbidden" not in faults(form(f"{path}={text}"))


def faults(asked):
    """Return the kinds of faults of a round; null and [] as texts may be no value of a setting."""
    try:
        asked.round().settings()
    except ValidationError as error:
        return {found["type"] for found in error.errors()}
    return set()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["health.runway=stop"], "'health.runaway'"),
        (["max_new_token=3"], "'max_new_tokens'"),
        (["loop.num_steps=3"], "'mopd_steps'"),
        (["mopd_steps=3"], "'mopd_steps'"),
        (["stop"], "name=value"),
        (["=1"], "name=value"),
        (["inner_updates=1", "inner_updates=2"], "'inner_updates'"),
    ],
)
def test_an_entry_that_sets_nothing_is_refused_with_what_to_write(settings, said):
    with pytest.raises(InputError, match=said):
        form(*settings).round()


def test_settings_on_one_line_are_split_at_their_names():
    text = "delta_teachers=math,code, health.runaway=stop,sampling.vllm.url=http://h:1/?a=b"
    assert split(text) == [
        "delta_teachers=math,code",
        "health.runaway=stop",
        "sampling.vllm.url=http://h:1/?a=b",
    ]


def test_of_two_lists_the_second_counts_where_both_set_something():
    assert merged(["a=1", "b=2"], ["b=3", "c=4"]) == ["a=1", "b=3", "c=4"]
