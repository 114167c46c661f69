"""The mark of a reused step: a Deck in Flyte's console that names the run that made the result."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from tasks import pod
from tasks.reports.rendering import render

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Reused:
    """An output that was found, and who made it."""

    kind: str
    record: str
    made_by: str
    """The execution in Flyte, as project/domain/name; "" for a run on a person's machine."""


_REUSED: ContextVar[list[Reused] | None] = ContextVar("reused", default=None)


@contextmanager
def reused_here() -> Iterator[list[Reused]]:
    """Yield what is found within instead of made, in a list that grows."""
    found: list[Reused] = []
    token = _REUSED.set(found)
    try:
        yield found
    finally:
        _REUSED.reset(token)


def note_reused(found: Reused) -> None:
    """Keep that an output was found, where somebody asks."""
    if (reused := _REUSED.get()) is not None:
        reused.append(found)


def marking_reuse(
    body: Callable[Parameters, Result], show: Callable[[str, str], None] | None
) -> Callable[Parameters, Result]:
    """Return ``body`` with its reused results reported in its log and, if it has one, in its Deck.

    On a person's machine nothing is reported here, because the command reports it.
    """

    @functools.wraps(body)
    def marked(*args: Parameters.args, **inputs: Parameters.kwargs) -> Result:
        with reused_here() as reused:
            result = body(*args, **inputs)
        if reused and pod.flyte_run():
            lines = [told(each) for each in reused]
            sys.stderr.write("\n".join([*lines, ""]))
            if show is not None:
                show("reused", render("reused.html.j2", title="reused", lines=lines))
        return result

    return marked


def told(found: Reused) -> str:
    """Return what was reused and who made it, in one line."""
    by = f"execution {found.made_by}" if found.made_by else "a run on a person's machine"
    return f"{found.kind} reused from record {found.record}, made by {by}"
