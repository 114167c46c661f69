"""Generates the documentation page of a team's settings from their models.

Run ``python -m workflows.commands.settings_page`` to regenerate it.
"""

from enum import Enum
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tasks.contracts.handover import DomainSettings
from tasks.contracts.inputs import documented
from tasks.onpolicy.settings import ImportanceMask, LoopSettings
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "team-settings.md"
MODELS: dict[str, type[BaseModel]] = {
    "DOMAIN": DomainSettings,
    "SFT": SftSettings,
    "RL": RlSettings,
    "RL.loop": LoopSettings,
    "RL.sampling": SamplingSettings,
    "RL.importance": ImportanceMask,
}
"""Model of each group of settings, by its place in ``settings.py``."""
_HEAD = """\
# Settings of a team

`settings.py` of a team holds `DOMAIN`, `SFT` and `RL`. They are models of pydantic: a name that
does not exist, or a value out of its range, is refused before anything runs.

`python -m workflows.commands.settings_page` generates this page from the models.
"""


def page() -> str:
    """Return the page."""
    parts = [_HEAD, *(_section(place, model) for place, model in MODELS.items())]
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
    PAGE.write_text(page(), encoding="utf-8")
