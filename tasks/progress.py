"""Progress out of a training loop: one call for each step, from anywhere, at no cost to speak of.

When a parent process listens (``PROVOST_PROGRESS_FD``), a report goes to it as one JSON line.
Otherwise it becomes a line on standard error, at most one in a few seconds. Standard library
only, so that any module may import it.
"""

import fcntl
import json
import math
import os
import stat
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

PROGRESS_FD = "PROVOST_PROGRESS_FD"
SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_REDRAWS = 0.2


class TimeLeft:
    """Estimates how long a stage still takes, from the steps seen since it began or resumed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._first_step = 0
        self._first_time = 0.0

    def seconds(self, stage: str, step: int, total: int) -> float | None:
        """Return the seconds left in ``stage``, or None before two steps of it were seen."""
        now = self._clock()
        if stage != self._stage or step < self._first_step:
            self._stage, self._first_step, self._first_time = stage, step, now
        if step >= total:
            return 0.0 if total > 0 else None
        if step == self._first_step:
            return None
        return (now - self._first_time) / (step - self._first_step) * (total - step)


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

    def report(
        self, stage: str, step: int, total: int, metrics: Mapping[str, float], message: str = ""
    ) -> None:
        """Tell whoever watches that ``stage`` has done ``step`` of ``total`` steps."""
        if self._pipe is not None:
            self._send(stage, step, total, metrics, message)
        else:
            self._show(stage, step, total, metrics, message)

    def _send(
        self, stage: str, step: int, total: int, metrics: Mapping[str, float], message: str
    ) -> None:
        assert self._pipe is not None
        numbers = {name: float(value) for name, value in metrics.items()}
        update = {"stage": stage, "step": step, "total": total, "metrics": numbers}
        if message:
            update["message"] = message
        try:
            os.write(self._pipe, json.dumps(update).encode() + b"\n")
        except OSError:
            # The listener has gone. The work does not depend on being watched.
            self._pipe = None

    def _show(
        self, stage: str, step: int, total: int, metrics: Mapping[str, float], message: str
    ) -> None:
        seconds_left = self._time_left.seconds(stage, step, total)
        redraw = self._stream.isatty()
        pause = SECONDS_BETWEEN_REDRAWS if redraw else SECONDS_BETWEEN_LINES
        new_stage, ended = stage != self._stage, step >= total
        if not new_stage and not ended and self._clock() - self._last_line < pause:
            return
        if redraw and new_stage and self._stage:
            self._stream.write("\n")
        self._stage, self._last_line = stage, self._clock()
        words = [f"{stage} {step}/{total}"]
        words += [f"{name} {format_metric(float(value))}" for name, value in metrics.items()]
        words += [] if seconds_left is None or ended else [f"eta {format_seconds(seconds_left)}"]
        words += [message] if message else []
        line = " ".join(words)
        self._stream.write(f"\r\x1b[2K{line}" if redraw else f"{line}\n")
        if redraw and ended:
            self._stream.write("\n")
            self._stage = ""
        self._stream.flush()


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
    except OSError:  # not open in this process: nobody listens
        return None
    if not is_pipe:
        return None
    fcntl.fcntl(pipe, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return pipe


_reporter = Reporter(_inherited_pipe(), sys.stderr)


def report(stage: str, step: int, total: int, *, message: str = "", **metrics: float) -> None:
    """Say that ``stage`` has done ``step`` of ``total`` steps; metrics are shown as they are named.

    Call it at every step: lines are thinned out, and a report never fails the work.
    """
    _reporter.report(stage, step, total, metrics, message)
