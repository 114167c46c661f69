"""A workflow's flat inputs as options of the command line: the launch form and it never differ."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, get_args, get_origin

import click
from flytekit.core.workflow import PythonFunctionWorkflow

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


class Texts(click.ParamType[dict[str, str]]):
    """Texts by name."""

    name = "a=x,b=y"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        """Return the texts by their names."""
        pairs = [text.partition("=") for text in str(value).split(",")]
        if not all(name.strip() and equals for name, equals, _ in pairs):
            self.fail(f"{value!r}: write name=value,name=value, such as health.runaway=stop")
        if len({name.strip() for name, _, _ in pairs}) < len(pairs):
            self.fail(f"{value!r} gives a name twice: give each once")
        return {name.strip(): text.strip() for name, _, text in pairs}


class Weights(click.ParamType[dict[str, float]]):
    """Numbers by name."""

    name = "a=1,b=2"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        """Return the numbers by their names."""
        pairs = [text.partition("=") for text in str(value).split(",")]
        try:
            return {name.strip(): float(number) for name, _, number in pairs}
        except ValueError:
            self.fail(f"{value!r}: write name=number,name=number, such as math=2,code=1")


def options_of(workflow: PythonFunctionWorkflow) -> list[click.Parameter]:
    """Return an option for each input; one that is not given is None."""
    interface = workflow.python_interface
    told = interface.docstring.input_descriptions if interface.docstring else {}
    return [
        _option(name, python_type, default, told.get(name, ""))
        for name, (python_type, default) in interface.inputs_with_defaults.items()
    ]


def chosen(given: Mapping[str, object]) -> dict[str, Any]:
    """Return what was given, without what was not: that is left to preset and workflow."""
    return {name: value for name, value in given.items() if value is not None}


def _option(name: str, python_type: Any, default: object, told: str) -> click.Option:  # noqa: ANN401
    flag = f"--{name.replace('_', '-')}"
    text = f"{told} [{_shown(default)}]" if default not in ([], {}) else told
    if python_type is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}"], default=None, help=text)
    return click.Option([flag], type=_click_type(python_type), default=None, help=text)


def _shown(default: object) -> object:
    if isinstance(default, Enum):
        return default.value
    return ",".join(default) if isinstance(default, list) else default


def _click_type(python_type: Any) -> click.ParamType[Any]:  # noqa: ANN401
    if get_origin(python_type) is list:
        return Listed()
    if get_origin(python_type) is dict:
        return Texts() if get_args(python_type)[1] is str else Weights()
    if issubclass(python_type, Enum):
        return Member(python_type)
    return _PLAIN[python_type]
