"""What a step shows beside the store: pages in Flyte's console, and its records in MLflow.

Two pages: curves that are drawn anew while a step measures, and the mark of a result that was found
and not made. ``Mirror`` is the view of MLflow, or of what a caller passes instead.
"""

import functools
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from lineage.mirror import live_run, mirror_entry, mirror_record
from lineage.records.derivation import Sample
from lineage.records.record import Derivation
from lineage.store.store import Store
from tasks.platform.attempt import InterruptedAttemptError
from tasks.platform.measurements import Measurements, measured_here
from tasks.platform.provenance import flyte_run
from tasks.reports.rendering import render

EVERY_SECONDS = 20.0
"""Seconds between two redraws; a page is at most this old plus one step."""

Draw = Callable[[Sequence[Sequence[Sample]]], str]
"""Function from the measurements of each part of a step to an HTML page."""


@contextmanager
def drawn_live(
    draw: Draw, show: Callable[[str], None], clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Show a page of what is measured within, every 20 seconds and at the end, failed or not.

    A page that cannot be shown while the step runs costs a line in the log, not the step.
    """
    drawn_at = clock()

    def measured(_new: Sequence[Sample]) -> None:
        nonlocal drawn_at
        if clock() - drawn_at < EVERY_SECONDS:
            return
        drawn_at = clock()
        try:
            show(draw([each.rows for each in measurements]))
        except Exception:
            logging.getLogger(__name__).exception("the page of this step could not be rendered yet")

    with measured_here(measured) as measurements:
        try:
            yield
        finally:
            show(draw([each.rows for each in measurements]))


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
        if reused and flyte_run():
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


class Mirror(Protocol):
    """A second view of what the store holds and of what a step measures."""

    def live(
        self, store: Store, derivation: Derivation, owner: str, measurements: Measurements
    ) -> AbstractContextManager[None]:
        """Show what is measured within."""

    def add(self, store: Store, record: str) -> None:
        """Show a finished record."""

    def add_name(self, store: Store, name: str) -> None:
        """Show a registered name with its versions and aliases."""


class MlflowMirror:
    """The view in MLflow. The work goes on at the same pace where MLflow is down."""

    @contextmanager
    def live(
        self, store: Store, derivation: Derivation, owner: str, measurements: Measurements
    ) -> Iterator[None]:
        """Show what is measured within, at most half a minute late.

        What ends with an error is shown as failed, unless it ends in its first seconds.
        """
        stopped = InterruptedAttemptError
        run = live_run(store, derivation, owner, stopped, measurements.notes)
        measurements.listeners.append(run.add)
        with run:
            yield

    def add(self, store: Store, record: str) -> None:
        """Show a finished record."""
        mirror_record(store, record)

    def add_name(self, store: Store, name: str) -> None:
        """Show a registered name with its versions and aliases."""
        mirror_entry(store, name)
