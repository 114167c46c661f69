"""Watches a step at work and shows its curves, without ever holding the work up."""

import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from lineage.mirror.live import Ended, Step, now_ms
from lineage.mirror.run_view import MetricRow, row_of
from lineage.records.metrics import Sample
from lineage.records.record import Derivation

FIRST_SECONDS = 5.0
"""What ends sooner is shown when it has ended."""
SECONDS = 10.0
"""Seconds between two reads of the queue: curves are at most half a minute late."""
MOST_WAITING = 100_000
"""Values that wait while MLflow is away; the oldest go first. The record has them all."""
LAST_SECONDS = 10.0
"""Seconds that a failed step waits for MLflow to show it."""

Show = Callable[[Step], bool]
"""Shows a step in MLflow; returns whether it has it now. Never raises."""


class LiveMirror:
    """A thread that shows a step's values as they come."""

    def __init__(
        self,
        show: Show,
        derivation: Derivation,
        owner: str,
        *,
        notes: Mapping[str, JsonValue] | None = None,
        interruption: type[BaseException] = KeyboardInterrupt,
    ) -> None:
        """Show the step that makes ``derivation`` with ``show``.

        ``notes`` are those of the step, which may grow meanwhile. What raises ``interruption``
        was stopped from without, and did not fail.
        """
        self._interruption = interruption
        self._notes = notes if notes is not None else {}
        self._show, self._derivation, self._owner = show, derivation, owner
        self._started_ms = now_ms()
        self._waiting: list[MetricRow] = []
        self._queue = threading.Lock()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="provost-mlflow", daemon=True)

    def add(self, samples: Sequence[Sample]) -> None:
        """Queue values; returns at once."""
        with self._queue:
            self._waiting += map(row_of, samples)
            del self._waiting[:-MOST_WAITING]

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; report a failure to MLflow. The record covers a step that succeeded."""
        self._error = error
        self._over.set()
        if error is not None:
            self._thread.join(LAST_SECONDS)

    def _work(self) -> None:
        seconds, shown = FIRST_SECONDS, False
        while not self._over.wait(seconds):
            shown, seconds = True, SECONDS
            self._flush("")
        if shown and self._error is not None:
            stopped = isinstance(self._error, self._interruption)
            failed = isinstance(self._error, Exception) and not stopped
            self._flush("FAILED" if failed else "KILLED")

    def _flush(self, ended: Ended) -> None:
        with self._queue:
            rows, self._waiting = self._waiting, []
        told = f"{type(self._error).__name__}: {self._error}" if ended else ""
        step = Step(self._derivation, self._owner, self._started_ms, rows, ended, told, self._notes)
        if not self._show(step) and not ended:
            with self._queue:
                self._waiting = [*rows, *self._waiting][-MOST_WAITING:]
