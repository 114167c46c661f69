"""How a failure reads in Flyte's console: first what and why, frames only where they help.

The console shows three lines of an error, and lists of nodes its first 100 characters. Flyte prints
a traceback first, which would fill both, so that an error is raised anew without frames here.
"""

import dis
import logging
import re
import sysconfig
import textwrap
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

_OURS = {"images", "lineage", "tasks", "workflows"}
"""Packages with exceptions that need no traceback."""
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
_PASSING = "PassingFaultError"
"""Name under which a task raises a transient fault; the fault's own name follows."""
_OWN = ("FailedError", "MayPassError")
"""Names of wrapper errors in the console, without information of their own."""
_NAMED = re.compile(r"([A-Z]\w*(?:Error|Exception)): ")
_AT_EXIT = ("Unclosed client session", "Unclosed connector")
"""Messages of flytekit's S3 client when a pod ends, which are not faults."""


class FramelessError(Exception):
    """An error that is printed as its name and message, without frames."""

    @property
    def __traceback__(self) -> TracebackType | None:
        """Return None, whatever it came through."""
        return None

    @__traceback__.setter
    def __traceback__(self, frames: TracebackType | None) -> None:
        """Keep nothing."""


class FailedError(FramelessError, RuntimeError):
    """What a task ended with, said for the console."""

    __module__ = "builtins"  # a traceback prints any other module before the name

    def __init__(self, message: str, code: str) -> None:
        """Keep the message, and Flyte's code for the error."""
        super().__init__(message)
        self.error_code = code


@dataclass(frozen=True)
class Told:
    """An error as it is said to a person."""

    name: str
    """Type of the error."""
    sentence: str
    """Message of the error."""
    frames: str = ""
    """Traceback; "" if the message is sufficient."""


def told(error: BaseException) -> Told:
    """Return what an error says; of several ranks, what the first to fail said."""
    for seen in _chain(error):
        if isinstance(seen, ValidationError):
            return Told("InputError", "; ".join(map(_of_field, seen.errors())))
        first: Callable[[], tuple[int, Any]] | None = getattr(seen, "get_first_failure", None)
        if first is not None:
            return _of_rank(first()[1].message)
    name = type(error).__name__
    if _is_ours(error):
        return Told(name, str(error))
    return Told(name, f"{name}: {error}", "".join(traceback.format_exception(error)))


def frameless(error: BaseException) -> FailedError:
    """Return an error that says what and why first, then the frames if it was not expected."""
    said = told(error)
    return FailedError(f"{said.sentence}\n\n{said.frames}".rstrip(), f"USER:{said.name}")


def from_console(message: str) -> Told:
    """Return what a failed step said, from the message that Flyte passes on.

    A pod that was killed said nothing: then it is Flyte's own sentence.
    """
    body, _, last = message.partition("\nMessage:\n")
    text = textwrap.dedent(last or body.removeprefix("Trace:\n")).strip()
    sentence, _, frames = text.partition("\n\n")
    for own in _OWN:
        sentence = sentence.removeprefix(f"{own}: ")
    name = _NAMED.match(sentence)
    return Told(name[1] if name else "Error", " ".join(sentence.split()), frames)


def is_explained(error: BaseException) -> bool:
    """Return whether an error's message is all that a person needs.

    So it is with our own types, with a model that refuses its fields, with what the operating
    system refuses, and with a ValueError or RuntimeError that a ``raise`` of the pipeline or of a
    team says. Any other is a bug (a missing key, values that cannot be unpacked, an error from
    inside a library), and its frames say where.
    """
    if _is_ours(error) or isinstance(error, ValidationError | OSError):
        return True
    return type(error) in {ValueError, RuntimeError} and _was_raised_outside_libraries(error)


def _was_raised_outside_libraries(error: BaseException) -> bool:
    """Return whether the innermost frame is outside libraries and stopped at a ``raise``."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    if frame is None:
        return False
    code = frame.tb_frame.f_code
    if code.co_code[frame.tb_lasti] != dis.opmap["RAISE_VARARGS"]:
        return False
    package = str(frame.tb_frame.f_globals.get("__name__")).partition(".")[0]
    file = Path(code.co_filename)
    return package in _OURS or not any(file.is_relative_to(folder) for folder in _LIBRARIES)


def quiet_exit() -> None:
    """Have the log end with what happened, not with how the S3 client was left."""
    logging.getLogger("asyncio").addFilter(_is_worth_reading)


def _of_field(found: Any) -> str:  # noqa: ANN401 - pydantic's own
    place = ".".join(str(part) for part in found["loc"])
    return f"{place}: {found['msg']} (given: {str(found['input'])[:60]})"


def _of_rank(message: Any) -> Told:  # noqa: ANN401 - what torch's launcher found in a file
    """Return what a rank's process said: an error by its name, and where it was raised."""
    if not isinstance(message, dict):  # the process was killed and left no file
        return Told("RankError", str(message))
    said = str(message["message"]).removeprefix(f"{_PASSING}: ")
    name = said.partition(": ")[0]
    return Told(name, said, str(message["extraInfo"]["py_callstack"]))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from; our own say what is worth saying of theirs."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = None if _is_ours(seen) else seen.__cause__ or seen.__context__


def _is_ours(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in _OURS


def _is_worth_reading(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_AT_EXIT)
