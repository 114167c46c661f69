"""JSON, one object a line: strict reading, errors with the line, files written whole.

Standard library only: the confined worker process imports this too.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tasks.rollout.environment import Json
from tasks.rollout.foreign import cut, shown

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that may be half a character (a surrogate); a matching pair is one character."""

Parsed = TypeVar("Parsed")


class PromptError(ValueError):
    """A prompt or demonstration that cannot be used; says which, why and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(cut(message))


def parse_json(text: str) -> object:
    """Return the value of strict JSON.

    Raises:
        PromptError: for NaN, infinities, bad or too deep JSON, numbers of thousands of digits, and
            text that is not Unicode.
    """
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise PromptError(f"not JSON ({error.msg} at column {error.colno})") from error
    except RecursionError as error:
        raise PromptError("nested too deeply to be read") from error
    except UnicodeEncodeError as error:
        raise PromptError(f"text that is not Unicode ({error.reason})") from error
    except PromptError:
        raise
    except ValueError as error:
        raise PromptError(f"a number that cannot be read ({error})") from error
    return value


def read_rows(path: Path, parse: Callable[[object], Parsed]) -> list[tuple[int, Parsed]]:
    """Return the parsed rows of a file with their line numbers.

    Raises:
        PromptError: the file is empty, or a line cannot be used; names the file and the line.
    """
    rows = [
        (line, _parsed(path, line, data, parse))
        for line, data in enumerate(_lines(path), start=1)
        if data.strip()
    ]
    if not rows:
        raise PromptError(f"{path} is empty: write at least one JSON object, one per line")
    return rows


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for number, line in enumerate(file):
            # Editors on Windows put a byte order mark before the first line.
            yield line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line


def _parsed(path: Path, line: int, data: bytes, parse: Callable[[object], Parsed]) -> Parsed:
    try:
        return parse(parse_json(data.decode("utf-8")))
    except UnicodeDecodeError as error:
        raise PromptError(
            f"{path}, line {line}: not UTF-8 ({error.reason} at byte {error.start}): save the "
            "file as UTF-8"
        ) from error
    except PromptError as error:
        raise PromptError(f"{path}, line {line}: {error}") from error


def write_rows(path: Path, rows: Sequence[Mapping[str, Json]]) -> None:
    """Write rows, whole or not at all."""
    if not rows:
        raise PromptError(
            f"the list of rows for {path} is empty: an empty file cannot be read back, so give at "
            "least one row"
        )
    text = "".join(_line(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _line(row: Mapping[str, Json]) -> str:
    try:
        text = json.dumps(row, sort_keys=True, allow_nan=False)
        if _SURROGATE.search(text):
            json.dumps(row, ensure_ascii=False).encode()
        return text + "\n"
    except (TypeError, ValueError) as error:
        raise PromptError(
            f"prompt {row.get('id', '')!r} holds a value outside JSON ({error}): use null, "
            "booleans, finite numbers, text, lists and objects with text keys"
        ) from error


def _refuse_constant(name: str) -> object:
    raise PromptError(f"{name} is not a JSON number: write null or a finite number")


def fields_of(
    value: object, *, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, object]:
    """Return the fields of a row; PromptError for one that is missing or unknown."""
    if not isinstance(value, dict):
        raise PromptError(f"a {type(value).__name__}: each line must be one JSON object")
    missing = [name for name in required if name not in value]
    if missing:
        raise PromptError(f"field {missing[0]!r} is missing: a line has {', '.join(required)}")
    # A misspelt 'task' would otherwise leave the grader without its answer.
    unknown = sorted(set(value) - set(required) - set(optional))
    if unknown:
        known = ", ".join(required + optional)
        raise PromptError(
            f"unknown field {unknown[0]!r}: a line has {known}; put other data into 'task'"
        )
    return value


def pairs_of(value: object, name: str, roles: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return a list of role and content, checked."""
    if not isinstance(value, list) or not value:
        raise PromptError(f"field {name!r} must be a list with at least one entry")
    return [_pair(entry, f"{name}[{index}]", roles) for index, entry in enumerate(value)]


def _pair(value: object, name: str, roles: tuple[str, ...]) -> tuple[str, str]:
    if not isinstance(value, dict) or set(value) != {"role", "content"}:
        raise PromptError(f"{name} must be an object with 'role' and 'content' and nothing else")
    role, content = value["role"], value["content"]
    if role not in roles:
        raise PromptError(f"{name} has role {shown(role)}: choose from {', '.join(roles)}")
    if not isinstance(content, str):
        raise PromptError(f"{name} has a {type(content).__name__} as content: it must be text")
    return role, content
