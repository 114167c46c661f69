"""The page of the documentation about the launch form, written from the form itself.

``python -m workflows.consolidation.form_page`` writes it anew.
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

`consolidate` and `consolidate_reviewed` have these inputs in Flyte's console, which sorts them by
name. The command line has the same as options (`provost run consolidation --help`), and an option
for each setting with a short name.

This page is written by `python -m workflows.consolidation.form_page` from `LaunchForm`
(`tasks/mopd/launch_form.py`).
"""
_SETTINGS = """\
## `settings`

One entry for each setting, as `name=value`: `["max_new_tokens=512", "health.runaway=stop"]` in the
console, `--settings max_new_tokens=512,health.runaway=stop` on the command line. A list has commas
(`delta_teachers=math,code`); a map has an entry for each key (`balance_weights.math=2`). All are
checked before anything is computed. A name that is no setting is refused with the nearest one.
"""
_PATHS = """\
## Every other setting of a round

By its path in `RoundSettings`; [the MOPD engine](mopd.md) says what they mean.
"""
_PRESETS = """\
## Presets

Launch plans of both workflows, such as `consolidate_smoke`; `--preset smoke` on the command line. A
preset sets defaults, which can be changed. Its first setting, `preset`, changes nothing: the record
of the launch names the preset by it.
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
