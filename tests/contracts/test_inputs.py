"""What cannot be is told by the input's name, with why and what to do."""

import pytest
from pydantic import BaseModel, Field

from tasks.contracts.inputs import InputError, told_by_name
from tasks.mopd.launch_form import LaunchForm
from tasks.mopd.round_form import INPUTS, RoundForm
from tasks.mopd.task import round_settings


class Inner(BaseModel):
    steps: int = Field(ge=1, le=9)
    rate: float = Field(gt=0, lt=1)


class Outer(BaseModel, extra="forbid"):
    inner: Inner
    word: str = "a"


GOOD = {"steps": 3, "rate": 0.5}


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ({"steps": 0}, "num_steps is 0, .*at least 1"),
        ({"steps": 10}, "num_steps is 10, .*at most 9"),
        ({"rate": 0}, "'inner.rate' of others is 0, .*above 0"),
        ({"rate": 1}, "'inner.rate' of others is 1, .*below 1"),
        ({"rate": "x"}, "'inner.rate' of others is 'x', .*number"),
    ],
)
def test_errors_name_the_bound_and_the_type(inner, said):
    with (
        pytest.raises(InputError, match=said),
        told_by_name({"inner.steps": "num_steps"}, rest="others"),
    ):
        Outer.model_validate({"inner": GOOD | inner})


def test_every_fault_has_a_line_and_what_fits_passes():
    with pytest.raises(InputError) as refused, told_by_name({"inner": "all"}):
        Outer.model_validate({"inner": {"steps": 0, "rate": 2}, "other": 1})
    first, second, third = str(refused.value).splitlines()
    assert first.startswith("all is 0")
    assert second.startswith("all is 2")
    assert third.startswith("other is not a setting, so 1 would have no effect")
    with (
        pytest.raises(InputError, match="num_steps is 0"),
        told_by_name({"inner": "all", "inner.steps": "num_steps"}),
    ):
        Outer.model_validate({"inner": GOOD | {"steps": 0}})
    with told_by_name({}):
        assert Outer.model_validate({"inner": GOOD}).inner.steps == 3


def asked(*settings, **changes):
    """Return the inputs that the first step of a consolidation checks, with changes."""
    form = LaunchForm(settings=list(settings))
    return {name: getattr(form, name) for name in LaunchForm.model_fields} | changes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mopd_steps", 0),
        ("learning_rate", 0.0),
        ("rounds", 0),
        ("seed", -1),
        ("seed", 2**32),
    ],
)
def test_an_invalid_number_of_the_form_is_named(name, value):
    with pytest.raises(ValueError, match=rf"(?m)^ *{name} is {value}\b"):
        round_settings(**asked(**{name: value}))


@pytest.mark.parametrize(
    "setting",
    [
        "divergence_top_k=0",
        "inner_updates=0",
        "ladder_stages=0",
        "max_new_tokens=0",
        "outcome_weight=-1",
        "prompts_per_domain=0",
        "reference_weight=-1",
        "rollouts_per_prompt=0",
        "student_adapter_rank=-1",
        "gate_prompts_per_domain=-1",
        "release_least_normalized=-1",
        "release_least_overall=-1",
    ],
)
def test_an_invalid_number_among_the_settings_is_named(setting):
    name = setting.partition("=")[0]
    with pytest.raises(ValueError, match=rf"(?m)^ *{name} is '?{setting.partition('=')[2]}\b"):
        round_settings(**asked(setting))


def test_errors_name_settings_behind_the_form_by_path_and_contradictions_in_our_words():
    with pytest.raises(ValueError, match=r"'health.runaway'.*'perhaps'.*'stop' or 'warn'"):
        round_settings(**asked("health.runaway=perhaps"))
    with pytest.raises(ValueError, match=r"outcome_weight is 1\.0"):
        round_settings(**asked("outcome_weight=1.0"))


def test_every_path_of_the_form_is_one_of_the_rounds():
    settings = RoundForm(student_adapter_rank=2).settings()
    for path, name in INPUTS.items():
        value = settings
        for part in path.split("."):
            value = getattr(value, part)
        assert name in RoundForm.model_fields
