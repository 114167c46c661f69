"""Shows jobs that run side by side: a live table on a terminal, plain lines anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tasks.platform.progress import TimeLeft, Update, format_metric, format_seconds

SECONDS_BETWEEN_LINES = 5.0
REDRAWS_A_SECOND = 4
METRICS = ("reward", "kl", "loss")
"""The metrics that have a column in the table."""


class Status(StrEnum):
    """How a job ended."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended, where its log is, and for a failed one the last lines of it."""

    name: str
    status: Status
    seconds: float
    log: Path
    exit_code: int | None = None
    tail: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the outcome as a person reads it, with the log's last lines of a failure."""
        if self.status is not Status.FAILED:
            return f"{self.name} {self.status} after {format_seconds(self.seconds)}"
        code = f"exit code {self.exit_code}" if (self.exit_code or 0) > 0 else "killed"
        first = f"{self.name} failed after {format_seconds(self.seconds)} ({code}); log: {self.log}"
        return "\n".join([first, *(f"  | {line}" for line in self.tail)])


class Progress(Protocol):
    """What shows the jobs to a person."""

    def start(self, name: str) -> None:
        """A job's process has begun."""

    def update(self, name: str, update: Update) -> None:
        """A job has reported."""

    def end(self, outcome: JobOutcome) -> None:
        """A job has ended."""


@contextmanager
def progress_on(stream: TextIO) -> Iterator[Progress]:
    """Yield what suits ``stream``: a table that is redrawn on a terminal, else lines."""
    if not stream.isatty():
        yield Lines(stream)
        return
    table = LiveTable(Console(file=stream))
    with table.live:
        yield table


class Lines:
    """Writes a line when a job starts, ends or changes stage, and one in five seconds between."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._time_left: dict[str, TimeLeft] = {}
        self._last: dict[str, tuple[str, float]] = {}

    def start(self, name: str) -> None:
        """Say that the job has begun."""
        self._time_left[name] = TimeLeft(self._clock)
        self._write(f"{name}: started")

    def update(self, name: str, update: Update) -> None:
        """Say how far the job is, unless that was said a moment ago."""
        seconds_left = self._time_left[name].seconds(update.stage, update.step, update.total)
        stage, when = self._last.get(name, ("", 0.0))
        due = update.stage != stage or self._clock() - when >= SECONDS_BETWEEN_LINES
        if due or update.step >= update.total > 0:
            self._last[name] = (update.stage, self._clock())
            self._write(f"{name}: {_within(name, update).describe(seconds_left)}")

    def end(self, outcome: JobOutcome) -> None:
        """Say how the job ended."""
        self._write(outcome.describe())

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


@dataclass
class _Row:
    state: str = "starting"
    update: Update | None = None
    seconds_left: float | None = None
    time_left: TimeLeft = field(default_factory=TimeLeft)

    def cells(self, name: str) -> list[str]:
        if self.update is None:
            return [name, self.state, "", *("" for _ in METRICS), ""]
        update, metrics = self.update, self.update.metrics
        step = f"{update.step}/{update.total}" if update.total > 0 else ""
        shown = (format_metric(metrics[key]) if key in metrics else "" for key in METRICS)
        left = "" if self.state else format_seconds(self.seconds_left)
        return [name, self.state or f"{update.stage} {update.message}", step, *shown, left]


class LiveTable:
    """A table with one row for each job. ``live`` must be entered while the jobs run."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._rows: dict[str, _Row] = {}
        self._clock = clock
        self.live = Live(
            get_renderable=self.table, console=console, refresh_per_second=REDRAWS_A_SECOND
        )

    def start(self, name: str) -> None:
        """Give the job a row."""
        self._rows[name] = _Row(time_left=TimeLeft(self._clock))

    def update(self, name: str, update: Update) -> None:
        """Note how far the job is, for the next redraw."""
        row = self._rows[name]
        row.state = ""
        row.update = _within(name, update)
        row.seconds_left = row.time_left.seconds(update.stage, update.step, update.total)

    def end(self, outcome: JobOutcome) -> None:
        """Write into the job's row how it ended, and above the table why it failed."""
        self._rows[outcome.name].state = f"{outcome.status} in {format_seconds(outcome.seconds)}"
        if outcome.status is Status.FAILED:
            self.live.console.print(Text(outcome.describe()))

    def table(self) -> Table:
        """Return the table with the current state of all jobs."""
        table = Table(box=None, pad_edge=False)
        for title in ("job", "stage"):
            table.add_column(title, no_wrap=True)
        for title in ("step", *METRICS, "left"):
            table.add_column(title, justify="right", no_wrap=True, min_width=6)
        for name, row in list(self._rows.items()):  # rich draws in a thread of its own
            table.add_row(*(Text(cell) for cell in row.cells(name)))
        return table


def _within(name: str, update: Update) -> Update:
    """Return the update without the job's name before the stage: it is shown already."""
    return replace(update, stage=update.stage.removeprefix(f"{name} "))
