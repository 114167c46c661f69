"""Generates two pages of documentation from the models: the launch form, a team's settings.

Run ``python -m workflows.commands.pages`` to regenerate them.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tasks.contracts.handover import DomainSettings
from tasks.contracts.inputs import documented
from tasks.mopd.launch_form import MORE, LaunchForm, settable_paths
from tasks.onpolicy.settings import ImportanceMask, LoopSettings
from tasks.rl.external_settings import ExternalTrainer
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from workflows.consolidation.workflow import PRESETS

_GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"
FORM_PAGE = _GUIDES / "launch-form.md"
_FORM = """\
# The launch form

`consolidate`, `consolidate_reviewed` and `consolidate_refreshed` have these inputs in Flyte's
console, sorted by name. The command line has an option for each of them, and for each setting with
a short name (`provost run consolidation --help`).

`python -m workflows.commands.pages` generates this page from `LaunchForm`
(`tasks/mopd/launch_form.py`).
"""
_SETTINGS = """\
## `settings`

Write one entry per setting, as `name=value`: `["max_new_tokens=512", "health.runaway=stop"]` in the
console, `--settings max_new_tokens=512,health.runaway=stop` on the command line. Separate the
values of a list with commas (`delta_teachers=math,code`). A map takes one entry per key
(`balance_weights.math=2`). All settings are checked before any computation. For an unknown name,
the error suggests the nearest setting.
"""
_PATHS = """\
## Every other setting of a round

Set them by their path in `RoundSettings`; [the MOPD engine](../concepts/mopd.md) explains them.
"""
_PRESETS = """\
## Presets

Each preset is a launch plan of each workflow, such as `consolidate_smoke`; on the command line,
use `--preset smoke`. A preset sets defaults, which can be changed. Its first setting, `preset`, has
no effect on the run: it puts the name of the preset into the record of the launch.
"""


def form_page() -> str:
    """Return the page of the launch form."""
    parts = [
        _FORM,
        _table(LaunchForm.model_fields),
        _SETTINGS,
        _table(MORE),
        _PRESETS,
        "\n".join(_presets()),
        _PATHS,
        "\n".join(_by_group()),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _by_group() -> Iterator[str]:
    """Yield a line for each group of settings, such as ``health``."""
    for _, members in groupby(settable_paths(), lambda path: path.rpartition(".")[0]):
        yield f"* {', '.join(f'`{path}`' for path in members)}"


def _table(fields: Mapping[str, FieldInfo]) -> str:
    rows = [
        f"| `{name}` | {_shown(field.get_default(call_default_factory=True))} | "
        f"{_choices(field.annotation)}{field.description} |"
        for name, field in sorted(fields.items())
    ]
    return "\n".join(["| name | default | what it is |", "|---|---|---|", *rows])


def _choices(kind: Any) -> str:  # noqa: ANN401 - any type
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind) + ". "
    return ""


def _shown(value: object) -> str:
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if value in ([], {}):
        return "none"
    return f"`{', '.join(value)}`" if isinstance(value, list) else f"`{value}`"


def _presets() -> Iterator[str]:
    for name, inputs in PRESETS.items():
        given = ", ".join(f"`{key}` = {_shown(value)}" for key, value in inputs.items())
        yield f"* `{name}`: {given}"


SETTINGS_PAGE = _GUIDES / "team-settings.md"
MODELS: dict[str, type[BaseModel]] = {
    "DOMAIN": DomainSettings,
    "SFT": SftSettings,
    "RL": RlSettings,
    "RL.loop": LoopSettings,
    "RL.sampling": SamplingSettings,
    "RL.importance": ImportanceMask,
    "TRAINER": ExternalTrainer,
}
"""Model of each group of settings, by its place in ``settings.py``."""
_TEAM = """\
# Settings of a team

`settings.py` of a team holds `DOMAIN`, `SFT` and `RL`; with a
[trainer of its own](your-own-model.md#a-trainer-of-your-own), `TRAINER` in the place of `RL`. They
are models of pydantic: a name that
does not exist, or a value out of its range, is refused before anything runs.

`python -m workflows.commands.pages` generates this page from the models.
"""


def settings_page() -> str:
    """Return the page of a team's settings."""
    parts = [_TEAM, *(_section(place, model) for place, model in MODELS.items())]
    return "\n".join(parts)


def _section(place: str, model: type[BaseModel]) -> str:
    documented(model)
    rows = [
        f"| `{name}` | {_default(field)} | {(field.description or '').replace('``', '`')} |"
        for name, field in model.model_fields.items()
    ]
    title = f"## `{place}`: `{model.__name__}`\n\n{_first_line(model)}\n"
    return "\n".join([title, "| setting | default | what it is |", "|---|---|---|", *rows, ""])


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return f"`{type(value).__name__}()`"
    return f"`{value.value if isinstance(value, Enum) else value}`"


if __name__ == "__main__":
    FORM_PAGE.write_text(form_page(), encoding="utf-8")
    SETTINGS_PAGE.write_text(settings_page(), encoding="utf-8")
