"""Generates the documentation page of the launch form from the form itself.

Run ``python -m workflows.consolidation.form_page`` to regenerate it.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from tasks.mopd.launch_form import MORE, LaunchForm, settable_paths
from workflows.consolidation.launch_plans import PRESETS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "launch-form.md"
_HEAD = """\
# The launch form

`consolidate` and `consolidate_reviewed` have these inputs in Flyte's console, sorted by name. The
command line has an option for each of them, and for each setting with a short name
(`provost run consolidation --help`).

`python -m workflows.consolidation.form_page` generates this page from `LaunchForm`
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

Each preset is a launch plan of both workflows, such as `consolidate_smoke`; on the command line,
use `--preset smoke`. A preset sets defaults, which can be changed. Its first setting, `preset`, has
no effect on the run: it puts the name of the preset into the record of the launch.
"""


def page() -> str:
    """Return the page."""
    parts = [
        _HEAD,
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


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
