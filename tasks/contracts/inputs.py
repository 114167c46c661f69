"""What a person types: descriptions of a form's fields, and errors under the inputs' names."""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def documented(model: type[Model]) -> type[Model]:
    """Use the string below each field of a model, its own or inherited, as its description."""
    for owner in reversed(model.__mro__):
        if issubclass(owner, BaseModel) and owner is not BaseModel:
            for name, text in _strings_of(owner):
                model.model_fields[name].description = text
    return model


def _strings_of(owner: type[BaseModel]) -> Iterator[tuple[str, str]]:
    source = Path(str(sys.modules[owner.__module__].__file__)).read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__:
            yield from _below(node)


def _below(body: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(body.body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            yield field.target.id, " ".join(below.value.value.split())


_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
"""pydantic's errors about bounds: the key of the bound in the error, and its wording."""
_OURS = "value_error"


class InputError(ValueError):
    """Invalid inputs; the message names each one with the reason and the fix."""


@contextmanager
def told_by_name(names: Mapping[str, str], rest: str = "") -> Iterator[None]:
    """Translate pydantic's errors about settings into errors about the inputs.

    Args:
        names: Of the inputs, by the dotted path of the setting that each becomes.
        rest: The input that takes any other path, such as settings.

    Raises:
        InputError: where a setting is refused within; a line for each.
    """
    try:
        yield
    except ValidationError as error:
        raise InputError(
            "\n".join(_told(found, names, rest) for found in error.errors())
        ) from error


def numbers_by_name(entries: Sequence[str], given_as: str) -> dict[str, float]:
    """Parse texts such as ``math=0.5`` into numbers by name.

    Args:
        entries: One text for each number.
        given_as: The input that took them, for the error.

    Raises:
        InputError: a text is not of the form name=number, or a name occurs twice.
    """
    found: dict[str, float] = {}
    for entry in entries:
        name, _, text = (part.strip() for part in entry.partition("="))
        if name in found:
            raise InputError(f"{given_as} gives {name!r} twice: give it once")
        try:
            found[name] = float(text)
        except ValueError as error:
            raise InputError(
                f"{given_as} has the invalid entry {entry!r}: write name=number, such as math=0.5"
            ) from error
    return found


def _told(found: Any, names: Mapping[str, str], rest: str) -> str:  # noqa: ANN401 - pydantic's own
    if found["type"] == _OURS:
        return str(found["ctx"]["error"])  # of several settings, and already in our words
    name, given = _name(".".join(str(part) for part in found["loc"]), names, rest), found["input"]
    if found["type"] == "extra_forbidden":
        return (
            f"{name} is not a setting, so {given!r} would have no effect: find its path in "
            "docs/concepts/mopd.md, or in RoundSettings"
        )
    if found["type"] in _BOUNDS:
        place, said = _BOUNDS[found["type"]]
        bound = found["ctx"][place]
        return f"{name} is {given!r}, and it must be {said} {bound}: give a number {said} {bound}"
    why = found["msg"].removeprefix("Input should be ")
    return f"{name} is {given!r}, and it must be {why}: give that instead"


def _name(path: str, names: Mapping[str, str], rest: str) -> str:
    """Return the input behind a path: its own, that of the longest beginning, or the rest's."""
    known = [each for each in names if path == each or path.startswith(f"{each}.")]
    if known:
        return names[max(known, key=len)]
    return f"{path!r} of {rest}" if rest else path
