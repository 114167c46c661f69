"""The launch form of a consolidation, defined once as a model, and the specifications made of it.

Workflow signatures, command-line options, presets and the documentation page are derived from
``LaunchForm``. Flyte's console sorts inputs by name, shows no help, and cannot launch an empty map.
So the form is short and flat, and the input ``settings`` takes every other setting by name.
``launch_spec`` validates it and splits it by task.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field

from lineage.launches.launch import Launched
from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.controls import MERGED, ControlOrder
from tasks.contracts.handover import GateOrder, OnMisfit
from tasks.contracts.inputs import InputError, documented, told_by_name
from tasks.contracts.remedies import WarmUpOrder, WarmUpSettings
from tasks.mopd.round_form import INPUTS, LARGEST_SEED, ConsolidationSpec, RoundForm
from tasks.mopd.settings import Divergence, RoundSettings
from tasks.onpolicy.settings import Workload

TEACHERS = ["math@released", "code@released", "agent@released", "instruct@released"]
"""The four domains of the testbed."""
PRESET = "preset"
"""Setting that holds the preset's name; it has no effect on the run."""
_ROUND = RoundForm.model_fields
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_@-]+)*")


@documented
class LaunchForm(BaseModel):
    """Inputs that change from one consolidation to the next; ``settings`` takes all others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    divergence: Divergence = _ROUND["divergence"].default
    """Divergence between student and teacher: exact, on the top k tokens, or sampled-token."""
    learning_rate: float = _ROUND["learning_rate"].default
    """Peak learning rate of AdamW, reached after warm-up."""
    mopd_steps: int = _ROUND["mopd_steps"].default
    """Number of sampling steps per round; each makes inner_updates optimizer steps."""
    on_misfit: OnMisfit = OnMisfit.REFUSE
    """What to do with a teacher that the gate rejects: end the run, remedy it, or leave it out."""
    publish_as: str = "general"
    """Name of the published student; general is registered as student.general."""
    rounds: int = _ROUND["rounds"].default
    """Number of rounds; each starts from the student of the previous round."""
    seed: int = Field(default=_ROUND["seed"].default, ge=0, le=LARGEST_SEED)
    """Random seed for prompt order and sampling."""
    settings: list[str] = Field(default_factory=list)
    """Other settings as name=value, such as max_new_tokens=512 or health.runaway=stop."""
    student: str = "fork-point@released"
    """Checkpoint that the student starts from: a registered checkpoint or a published student."""
    teachers: list[str] = Field(default_factory=lambda: list(TEACHERS))
    """Teacher releases, such as math@released, math@7, math@3=0.7 (share) or instruct@2=self."""
    waivers: list[str] = Field(default_factory=list)
    """Digests of waivers, as printed by `provost waive`."""

    def round(self) -> RoundForm:
        """Return the inputs that concern a round.

        Raises:
            InputError: an entry of ``settings`` sets nothing.
            pydantic.ValidationError: a value is invalid.
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
        """The preset that supplied the defaults; "" without a preset."""
        return dict(_named(self.settings)).get(PRESET, "")

    def gate(self) -> GateOrder:
        """Return the inputs that concern the gate; raises as ``round`` does."""
        return GateOrder.model_validate(self._of(GateOrder))

    def warm_up(self) -> WarmUpSettings:
        """Return the settings of the warm-up; raises as ``round`` does."""
        return WarmUpOrder.model_validate(self._of(WarmUpOrder)).settings()

    def conditions(self) -> ReleaseConditions:
        """Return the conditions for an automatic release; raises as ``round`` does."""
        return ReleaseConditions.model_validate(self._of(ReleaseConditions))

    def controls(self) -> ControlOrder:
        """Return what the student is compared with; raises as ``round`` does."""
        return ControlOrder.model_validate(self._of(ControlOrder))

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
    **WarmUpOrder.model_fields,
    **ReleaseConditions.model_fields,
    **ControlOrder.model_fields,
}
"""Settings that have a short name in ``settings``, with their fields."""


def split(text: str) -> list[str]:
    """Split a comma-separated text into settings; a value may itself contain commas."""
    return [part.strip() for part in re.split(r",(?=\s*[A-Za-z][\w.-]*=)", text) if part.strip()]


def merged(first: list[str], second: list[str]) -> list[str]:
    """Merge two lists of settings; the second list overrides the first."""
    return [
        f"{name}={text}" for name, text in {**dict(_parts(first)), **dict(_parts(second))}.items()
    ]


def settable_paths() -> list[str]:
    """Return the paths of the round settings that have neither an input nor a short name."""
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
    """Yield names and values; refuse unknown and repeated names."""
    seen = set[str]()
    for name, text in _parts(settings):
        if name in seen:
            raise InputError(f"settings has two entries for {name!r}: remove one")
        seen.add(name)
        _check_known(name)
        yield name, text


def _parts(settings: list[str]) -> Iterator[tuple[str, str]]:
    for entry in settings:
        name, equals, text = entry.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()):
            raise InputError(
                f"settings has the invalid entry {entry!r}: write name=value, such as "
                "max_new_tokens=512"
            )
        yield name.strip(), text.strip()


def _owner(path: str) -> str:
    """Return the input or short name that sets a path of the round settings; "" without one."""
    owned = {**INPUTS, **{name: name for name in _ROUND if name in RoundSettings.model_fields}}
    for own, name in owned.items():
        if path == own or path.startswith(f"{own}."):
            return name
    return ""


def _check_known(name: str) -> None:
    if name in LaunchForm.model_fields:
        raise InputError(f"settings has an entry for {name!r}: use the input {name!r} instead")
    if name == PRESET or name.partition(".")[0] in MORE:
        return
    if owner := _owner(name):
        raise InputError(f"settings has an entry for {name!r}: set {owner!r} instead")
    every = settable_paths()
    if name not in every and not any(path.startswith(f"{name}.") for path in every):
        near = get_close_matches(name, [*MORE, *every], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "docs/guides/launch-form.md lists them"
        raise InputError(f"settings has an entry for the unknown setting {name!r}: {hint}")


def _put(values: dict[str, Any], name: str, key: str, text: str) -> None:
    """Store a value under its name: a map entry by its key, a list split at its commas."""
    if key:
        values.setdefault(name, {})[key] = text
    elif _ROUND[name].annotation == list[str]:
        values[name] = [part.strip() for part in text.split(",") if part.strip()]
    else:
        values[name] = text


class LaunchSpec(NamedTuple):
    """The validated launch form, split by task."""

    spec: ConsolidationSpec
    gate: GateOrder
    workload: Workload
    ladder_stages: int
    launched: str
    """``Launched`` as JSON, because Flyte has no type for the settings of a round."""
    recipe: str
    """Settings that make outcomes comparable; see ``RoundForm.recipe``."""


def _with_controls(workload: Workload, order: ControlOrder) -> Workload:
    merged = len(order.chosen(MERGED))
    counts = {"merged_controls": merged, "trained_controls": len(order.controls) - merged}
    return workload.model_copy(update=counts)


def launch_spec(inputs: Mapping[str, Any]) -> LaunchSpec:
    """Return the validated inputs of a launch, split by task.

    Raises:
        InputError: for an input or a setting that is invalid.
    """
    names = {name: name for name in (*LaunchForm.model_fields, *MORE)}
    with told_by_name({**INPUTS, **names}, rest="settings"):
        form = LaunchForm.model_validate(dict(inputs))
        round_form, gate = form.round(), form.gate()
        spec = ConsolidationSpec(
            settings=round_form.settings(),
            sampling=round_form.sampling(),
            rounds=round_form.rounds,
            seed=round_form.seed,
            publish_as=form.publish_as,
            warm_up=form.warm_up(),
            conditions=form.conditions(),
            controls=form.controls(),
        )
        launched = Launched(
            inputs=form.model_dump(mode="json"),
            preset=form.preset,
            round=spec.settings.model_dump(mode="json"),
            rounds=spec.rounds,
            seed=spec.seed,
        )
        return LaunchSpec(
            spec,
            gate,
            _with_controls(round_form.workload(), spec.controls),
            round_form.ladder_stages,
            launched.model_dump_json(),
            round_form.recipe(),
        )
