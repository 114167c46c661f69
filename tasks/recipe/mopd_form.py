"""The launch form of a consolidation inside a recipe. No torch: workflows import it."""

from collections.abc import Iterator, Sequence
from enum import Enum

from pydantic import JsonValue

from tasks.contracts.handover import GateOrder
from tasks.mopd.launch_form import MORE, PRESET, LaunchForm
from tasks.mopd.round_form import RoundForm


def recipe_launch(
    system: str,
    round_form: RoundForm,
    gate: GateOrder,
    start: str,
    teachers: Sequence[str],
    seed: int,
) -> LaunchForm:
    """Return the form that a person would fill in for the same consolidation.

    Args:
        system: Name of the recipe; the student is published as ``student.SYSTEM``.
        round_form: Settings of the round; its seed counts for nothing.
        gate: Settings of the gate.
        start: Reference to the checkpoint that the student starts from.
        teachers: References to releases, with shares and ``=self`` as in the launch form.
        seed: The recipe's seed.
    """
    inputs = {
        name: getattr(round_form, name)
        for name in LaunchForm.model_fields
        if name in RoundForm.model_fields
    }
    named = (*_named(round_form), *_named(gate), *round_form.more_settings.items())
    return LaunchForm.model_validate(
        {
            **inputs,
            "publish_as": system,
            "seed": seed,
            # A recipe's card compares its stages; other recipes are its controls.
            "settings": [
                f"{name}={text}" for name, text in ((PRESET, system), ("controls", "none"), *named)
            ],
            "student": start,
            "teachers": list(teachers),
        }
    )


def _named(form: RoundForm | GateOrder) -> Iterator[tuple[str, str]]:
    """Yield the values that have a short name and differ from the default."""
    for name, field in type(form).model_fields.items():
        value = getattr(form, name)
        if name in MORE and value != field.get_default(call_default_factory=True):
            yield from _texts(name, value)


def _texts(name: str, value: JsonValue | Enum) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        yield from ((f"{name}.{key}", str(item)) for key, item in value.items())
    elif isinstance(value, list):
        yield name, ",".join(str(item) for item in value)
    else:
        yield name, str(value.value if isinstance(value, Enum) else value)
