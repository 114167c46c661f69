"""Command-line options derived from a workflow's inputs, so that they match the launch form."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, get_origin

import click
from flytekit.core.workflow import PythonFunctionWorkflow
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tasks.model.settings import Precision, StoredAs
from tasks.mopd.launch_form import merged, split

_PLAIN: dict[object, click.ParamType[Any]] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
}


class Listed(click.ParamType[list[str]]):
    """Texts with commas between them."""

    name = "a,b"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """Return the texts without the blanks around them."""
        return [text.strip() for text in str(value).split(",")]


class Weighed(Listed):
    """Numbers by name."""

    name = "a=1,b=2"


class Member(click.Choice[str]):
    """One of an enum's values."""

    def __init__(self, kind: type[Enum]) -> None:
        """Offer the values of ``kind``."""
        super().__init__([member.value for member in kind])
        self._kind = kind

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # noqa: ANN401 - click's own signature, which speaks of the text
        """Return the enum's member."""
        return self._kind(super().convert(value, param, ctx))


class SettingsType(click.ParamType[list[str]]):
    """Settings with commas between them; a value may hold commas too."""

    name = "a=x,b=y"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """Return one text for each setting."""
        return split(str(value))


def options_of(workflow: PythonFunctionWorkflow) -> list[click.Parameter]:
    """Return an option for each input; omitted options are None."""
    interface = workflow.python_interface
    told = interface.docstring.input_descriptions if interface.docstring else {}
    return [
        _option(name, python_type, default, told.get(name, ""))
        for name, (python_type, default) in interface.inputs_with_defaults.items()
    ]


def options_of_form(form: type[BaseModel], more: Mapping[str, FieldInfo]) -> list[click.Parameter]:
    """Return an option for each input of a form, and one for each setting that has a short name."""
    kinds = {"settings": SettingsType()}
    every = {**form.model_fields, **more}
    return [
        _option(
            name,
            field.annotation,
            field.get_default(call_default_factory=True),
            field.description or "",
            kinds.get(name),
        )
        for name, field in sorted(every.items())
    ]


def inputs_of_options(
    given: Mapping[str, object], more: Mapping[str, FieldInfo], preset: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a form's inputs: what was given over a preset, settings by name among ``settings``.

    Raises:
        InputError: for a setting that sets nothing.
    """
    own = {name: value for name, value in chosen(given).items() if name not in more}
    named = [
        entry
        for name, value in chosen(given).items()
        if name in more
        for entry in _entries(name, value, more[name])
    ]
    settings = merged(merged(preset.get("settings", []), own.get("settings", [])), named)
    return {**preset, **own, **({"settings": settings} if settings else {})}


def _entries(name: str, value: object, field: FieldInfo) -> list[str]:
    """Return the entries of ``settings`` that an option sets; a map has several."""
    if get_origin(field.annotation) is dict and isinstance(value, list):
        return [f"{name}.{pair}" for pair in value]
    return [f"{name}={_text(value)}"]


def _text(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def chosen(given: Mapping[str, object]) -> dict[str, Any]:
    """Return what was given, without what was not: that is left to preset and workflow."""
    return {name: value for name, value in given.items() if value is not None}


def _option(
    name: str,
    python_type: Any,  # noqa: ANN401 - any type
    default: object,
    told: str,
    kind: click.ParamType[Any] | None = None,
) -> click.Option:
    flag = f"--{name.replace('_', '-')}"
    text = f"{told} [{_shown(default)}]" if default not in ([], {}) else told
    if python_type is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}"], default=None, help=text)
    return click.Option([flag], type=kind or _click_type(python_type), default=None, help=text)


def _shown(default: object) -> object:
    if isinstance(default, Enum):
        return default.value
    return ",".join(default) if isinstance(default, list) else default


def _click_type(python_type: Any) -> click.ParamType[Any]:  # noqa: ANN401
    if get_origin(python_type) is list:
        return Listed()
    if get_origin(python_type) is dict:
        return Weighed()
    if issubclass(python_type, Enum):
        return Member(python_type)
    return _PLAIN[python_type]


saved_precision = click.option(
    "--saved-precision",
    type=Member(Precision),
    default=Precision.FP32.value,
    show_default=True,
    help="Floating-point format of the stored weights; bf16 takes half the disk.",
)
"""Option of commands that store what they trained."""
stored_as = click.option(
    "--saved-precision",
    type=Member(StoredAs),
    default=StoredAs.AUTO.value,
    show_default=True,
    help="Floating-point format of the stored weights; auto keeps bf16 where all are bf16.",
)
"""Option of commands that store a model of others."""
