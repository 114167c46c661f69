"""The mirror of commands that change names: MLflow, or the one that a caller of ``main`` passes."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import click

from tasks.platform.views import Mirror, MlflowMirror

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def with_mirror(
    command: Callable[Concatenate[Mirror, Parameters], Result],
) -> Callable[Parameters, Result]:
    """Give a command the mirror as its first argument: click's context object, or else MLflow."""

    @functools.wraps(command)
    def mirrored(*args: Parameters.args, **inputs: Parameters.kwargs) -> Result:
        passed: Mirror | None = click.get_current_context().find_root().obj
        return command(passed or MlflowMirror(), *args, **inputs)

    return mirrored
