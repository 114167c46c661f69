"""The launch form of a consolidation: one model, from which all else about it is derived.

Workflow signatures, options of the command line, presets and the page in the documentation come
from ``LaunchForm``. Flyte's console sorts inputs by name and shows no help, and it cannot launch an
empty map. So the form is short and flat, and its last input takes every other setting by name.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from tasks.documented import documented
from tasks.handover import GateOrder, OnMisfit, ReleaseConditions
from tasks.inputs import InputError
from tasks.mopd.round_form import INPUTS, LARGEST_SEED, RoundForm
from tasks.mopd.settings import Divergence, RoundSettings

TEACHERS = ["math@released", "code@released", "agent@released", "instruct@released"]
"""The four domains of the testbed."""
PRESET = "preset"
"""The setting by which a preset names itself; it changes nothing."""
_ROUND = RoundForm.model_fields
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_@-]+)*")


@documented
class LaunchForm(BaseModel):
    """What people change from one consolidation to the next; the rest is in ``settings``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    divergence: Divergence = _ROUND["divergence"].default
    """Exact KL over the vocabulary, over a few tokens, or the sampled-token gradient."""
    learning_rate: float = _ROUND["learning_rate"].default
    """Step size of AdamW, after warm-up."""
    mopd_steps: int = _ROUND["mopd_steps"].default
    """Optimizer steps of a round, times inner_updates."""
    on_misfit: OnMisfit = OnMisfit.REFUSE
    """What becomes of a teacher that does not fit."""
    publish_as: str = "general"
    """Name of the student: general is registered as student.general."""
    rounds: int = _ROUND["rounds"].default
    """Each round starts from the student of the round before."""
    seed: int = Field(default=_ROUND["seed"].default, ge=0, le=LARGEST_SEED)
    """Seed of prompts and sampling."""
    settings: list[str] = Field(default_factory=list)
    """Any other setting as name=value, such as max_new_tokens=512 or health.runaway=stop."""
    student: str = "fork-point@released"
    """The registered checkpoint, or published student, that the student starts from."""
    teachers: list[str] = Field(default_factory=lambda: list(TEACHERS))
    """Releases, such as math@released, math@7, math@3=0.7 with its share, or instruct@2=self."""
    waivers: list[str] = Field(default_factory=list)
    """Digests that `provost waive` printed."""

    def round(self) -> RoundForm:
        """Return what is asked of a round.

        Raises:
            InputError: for an entry of ``settings`` that sets nothing.
            pydantic.ValidationError: for a value that cannot be.
        """
        values = {name: getattr(self, name) for name in LaunchForm.model_fields if name in _ROUND}
        more = {}
        for name, text in _named(self.settings):
            head, _, tail = name.partition(".")
            if name == PRESET:
                continue
            if head not in MORE:
                more[name] = text
            elif head in _ROUND:
                _put(values, head, tail, text)
        return RoundForm.model_validate({**values, "more_settings": more})

    @property
    def preset(self) -> str:
        """The preset whose defaults the form began with; "" for the form's own."""
        return dict(_named(self.settings)).get(PRESET, "")

    def gate(self) -> GateOrder:
        """Return what is asked of the gate; raises as ``round`` does."""
        return GateOrder.model_validate(self._of(GateOrder))

    def conditions(self) -> ReleaseConditions:
        """Return when the student is released by itself; raises as ``round`` does."""
        return ReleaseConditions.model_validate(self._of(ReleaseConditions))

    def _of(self, model: type[BaseModel]) -> dict[str, str]:
        """Return the settings that are fields of a model."""
        return {name: text for name, text in _named(self.settings) if name in model.model_fields}


MORE: Mapping[str, Any] = {
    **{
        name: field
        for name, field in _ROUND.items()
        if name not in LaunchForm.model_fields and name != "more_settings"
    },
    **GateOrder.model_fields,
    **ReleaseConditions.model_fields,
}
"""The settings that have a short name in ``settings``, and their fields."""


def split(text: str) -> list[str]:
    """Return the settings in a text with commas between them; values may hold commas too."""
    return [part.strip() for part in re.split(r",(?=\s*[A-Za-z][\w.-]*=)", text) if part.strip()]


def merged(first: list[str], second: list[str]) -> list[str]:
    """Return settings of which the second list's count where both give one."""
    return [
        f"{name}={text}" for name, text in {**dict(_parts(first)), **dict(_parts(second))}.items()
    ]


def settable_paths() -> list[str]:
    """Return the paths of a round's settings that have neither an input nor a short name."""
    return sorted(path for path in paths() if not _owner(path))


def paths(model: type[BaseModel] = RoundSettings, before: str = "") -> Iterator[str]:
    """Yield the path of every setting of a round, such as ``health.runaway``."""
    for name, field in model.model_fields.items():
        inner = [
            kind
            for kind in (field.annotation, *get_args(field.annotation))
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        if inner:
            yield from paths(inner[0], f"{before}{name}.")
        else:
            yield f"{before}{name}"


def _named(settings: list[str]) -> Iterator[tuple[str, str]]:
    """Yield names and values; refuse what names no setting, or one twice."""
    seen = set[str]()
    for name, text in _parts(settings):
        if name in seen:
            raise InputError(f"settings gives {name!r} twice: give it once")
        seen.add(name)
        _check_known(name)
        yield name, text


def _parts(settings: list[str]) -> Iterator[tuple[str, str]]:
    for entry in settings:
        name, equals, text = entry.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()):
            raise InputError(
                f"settings has the entry {entry!r}, which sets nothing: write name=value, such as "
                "max_new_tokens=512"
            )
        yield name.strip(), text.strip()


def _owner(path: str) -> str:
    """Return the input, or the short name, that sets a path of a round's settings; "" if none."""
    owned = {**INPUTS, **{name: name for name in _ROUND if name in RoundSettings.model_fields}}
    for own, name in owned.items():
        if path == own or path.startswith(f"{own}."):
            return name
    return ""


def _check_known(name: str) -> None:
    if name in LaunchForm.model_fields:
        raise InputError(f"settings names {name!r}, which is an input of its own: set it there")
    if name == PRESET or name.partition(".")[0] in MORE:
        return
    if owner := _owner(name):
        raise InputError(f"settings names {name!r}, which {owner!r} sets: set it there")
    every = settable_paths()
    if name not in every and not any(path.startswith(f"{name}.") for path in every):
        near = get_close_matches(name, [*MORE, *every], n=1, cutoff=0.5)
        hint = f"the nearest is {near[0]!r}" if near else "docs/guides/launch-form.md lists them"
        raise InputError(f"settings names {name!r}, and there is no such setting: {hint}")


def _put(values: dict[str, Any], name: str, key: str, text: str) -> None:
    """Put a value where it belongs: one of a map by its key, a list by its commas."""
    if key:
        values.setdefault(name, {})[key] = text
    elif _ROUND[name].annotation == list[str]:
        values[name] = [part.strip() for part in text.split(",") if part.strip()]
    else:
        values[name] = text
