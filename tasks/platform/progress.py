"""Progress out of a training loop: one call for each step, from anywhere, at no cost to speak of.

When a parent process listens (``PROVOST_PROGRESS_FD``), a report goes to it as one JSON line.
Otherwise it becomes a line on standard error, at most one in a few seconds. Nothing but the
standard library lies below, so that any module may import it.
"""

import fcntl
import json
import math
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import TextIO

from lineage.errors import plain

PROGRESS_FD = "PROVOST_PROGRESS_FD"
SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_REDRAWS = 0.2
SECONDS_OF_SPEED = 60.0
"""How far back the estimate of the time left looks."""


class TimeLeft:
    """Estimates how long a stage still takes, from the speed of the last minute.

    What comes before the first step that a stage reports, such as loading, does not count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._last_step = 0
        self._marks: deque[tuple[float, int]] = deque()

    def seconds(self, stage: str, step: int, total: int) -> float | None:
        """Return the seconds left in ``stage``, or None before two steps of it were seen."""
        now = self._clock()
        if stage != self._stage or step < self._last_step:
            self._stage = stage
            self._marks.clear()
        if step > (self._marks[-1][1] if self._marks else 0):
            self._marks.append((now, step))
        while len(self._marks) > 2 and self._marks[1][0] <= now - SECONDS_OF_SPEED:
            self._marks.popleft()
        self._last_step = step
        if step >= total:
            return 0.0 if total > 0 else None
        if len(self._marks) < 2:
            return None
        first_time, first_step = self._marks[0]
        return (now - first_time) / (step - first_step) * (total - step)


def format_seconds(seconds: float | None) -> str:
    """Return a duration as a person says it: ``12s``, ``3m 05s``, ``2h 10m``; ``-`` for None."""
    if seconds is None:
        return "-"
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def format_metric(value: float) -> str:
    """Return a metric in three significant digits: ``0.93``, ``12.4``, ``0.0031``, ``1.2e-05``."""
    return f"{value:.3g}"


@dataclass(frozen=True)
class Update:
    """One report: ``stage`` has done ``step`` of ``total`` steps."""

    stage: str
    step: int
    total: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    message: str = ""

    def encode(self) -> bytes:
        """Return the report as one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    def describe(self, seconds_left: float | None = None) -> str:
        """Return the report as a person reads it: ``math rl 40/120 reward 0.93 eta 12s``."""
        words = [f"{self.stage} {self.step}/{self.total}" if self.total > 0 else self.stage]
        words += [f"{name} {format_metric(value)}" for name, value in self.metrics.items()]
        words += [f"eta {format_seconds(seconds_left)}"] if seconds_left else []
        words += [self.message] if self.message else []
        return plain(" ".join(words))


def decode(line: bytes) -> Update | None:
    """Return the report that ``line`` encodes, or None for anything else.

    A stray print or a torn line in the pipe is ignored.
    """
    try:
        value = json.loads(line)
        return Update(
            stage=plain(value["stage"]),
            step=int(value["step"]),
            total=int(value["total"]),
            metrics={plain(name): float(number) for name, number in value["metrics"].items()},
            message=plain(value.get("message", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


class Reporter:
    """Writes reports to a parent's pipe, or as lines to a stream."""

    def __init__(
        self, pipe: int | None, stream: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pipe = pipe
        self._stream = stream
        self._clock = clock
        self._time_left = TimeLeft(clock)
        self._stage = ""
        self._last_line = -math.inf

    def report(self, update: Update) -> None:
        """Write a report to the pipe, or to the stream without a pipe."""
        if self._pipe is None:
            self._show(update)
            return
        try:
            os.write(self._pipe, update.encode())
        except OSError:
            # The listener has gone. The work does not depend on being watched.
            self._pipe = None

    def _show(self, update: Update) -> None:
        seconds_left = self._time_left.seconds(update.stage, update.step, update.total)
        redraw = self._stream.isatty()
        pause = SECONDS_BETWEEN_REDRAWS if redraw else SECONDS_BETWEEN_LINES
        new_stage, ended = update.stage != self._stage, update.step >= update.total
        if not new_stage and not ended and self._clock() - self._last_line < pause:
            return
        line = update.describe(seconds_left)
        if redraw:
            before = "\n" if new_stage and self._stage else "\r\x1b[2K"
            line = before + line + ("\n" if ended else "")
        else:
            line += "\n"
        self._stream.write(line)
        self._stream.flush()
        self._stage = "" if redraw and ended else update.stage
        self._last_line = self._clock()


def _inherited_pipe() -> int | None:
    """Return the pipe that a parent process handed down, and keep it from our own children.

    The variable is removed, for a process of ours does not inherit the descriptor, and the
    number could belong to one of its files. For the same reason only a pipe is accepted.
    """
    text = os.environ.pop(PROGRESS_FD, "")
    if not text.isdecimal():
        return None
    pipe = int(text)
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(pipe).st_mode)
    except OSError:  # not open in this process
        return None
    if not is_pipe:
        return None
    fcntl.fcntl(pipe, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return pipe


_reporter = Reporter(_inherited_pipe(), sys.stderr)
_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def without_reports() -> Iterator[None]:
    """Report nothing within: no work is done there that another process will not report."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


def report(stage: str, step: int, total: int, *, message: str = "", **metrics: float) -> None:
    """Say that ``stage`` has done ``step`` of ``total`` steps; metrics are shown as they are named.

    Call it at every step: lines are thinned out, and a report never fails the work. Of several
    ranks of one run the first one speaks.
    """
    if _SILENT.get() or os.environ.get("RANK", "0") != "0":
        return
    numbers = {name: float(value) for name, value in metrics.items()}
    _reporter.report(Update(stage, step, total, numbers, message))
