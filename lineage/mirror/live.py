"""Runs of steps at work, and the thread that shows their curves without delaying the work.

When a step is done, ``runs`` completes its run.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from lineage.mirror.run_view import (
    MAX_TAG,
    RECORD,
    MetricRow,
    clip,
    given_tags,
    model_name,
    params_of,
    split_finite,
)
from lineage.records.record import Derivation

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from lineage.mirror.run_view import row_of
from lineage.records.derivation import Sample

ERROR = "provost.error"
SEEN = "provost.seen"
"""Tag of an active run: time of its last heartbeat, in milliseconds since 1970."""
SILENT_MS = 15 * 60 * 1000
"""Milliseconds without a heartbeat after which a run counts as dead; one is due every 10 s."""
ASIDE = "provost.attempt_of"
"""Tag of a run that ended early: the record that a later attempt works on."""


Ended = Literal["", "FAILED", "KILLED"]


def now_ms() -> int:
    """Return the time in milliseconds since 1970."""
    return round(time.time() * 1000)


@dataclass(frozen=True)
class Step:
    """A step at work: what it makes, and what it has measured since it was last shown."""

    derivation: Derivation
    owner: str
    started_ms: int
    rows: Sequence[MetricRow] = ()
    ended: Ended = ""
    """How it ended without an output; "" while it runs."""
    error: str = ""
    notes: Mapping[str, JsonValue] = field(default_factory=dict)
    """What the step notes of its circumstances so far."""


@dataclass
class LiveRuns:
    """The runs that this process began in one MLflow. The caller holds ``only_writer``."""

    client: "MlflowClient"
    run_ids: dict[str, str] = field(default_factory=dict)
    """MLflow run id of each record in progress."""
    _logged: dict[str, set[MetricRow]] = field(default_factory=dict)

    def logged(self, record: str) -> set[MetricRow]:
        """Return the values of a record that its run has already."""
        return self._logged.get(record, set())

    def begin(self, step: Step, experiment: str, words: dict[str, str]) -> str:
        """Create the run of a step, with ``words`` among its tags; return its id."""
        from mlflow.entities import Param

        record = step.derivation.digest()
        tags = given_tags(record, step.derivation, step.owner) | words
        domain = str(step.derivation.settings.get("domain") or "")
        parts = [step.derivation.kind, domain, record.removeprefix("sha256:")[:12]]
        name = model_name("-".join(part for part in parts if part))
        run = self.client.create_run(experiment, step.started_ms, tags, name)
        params = [Param(key, value) for key, value in sorted(params_of(step.derivation).items())]
        for start in range(0, len(params), 100):
            self.client.log_batch(run.info.run_id, params=params[start : start + 100])
        run_id = str(run.info.run_id)
        self.run_ids[record] = run_id
        self._logged[record] = set()
        return run_id

    def log(self, step: Step, run_id: str) -> None:
        """Add what a step has measured, and how it ended if it did."""
        from mlflow.entities import Metric

        logged = self._logged[step.derivation.digest()]
        rows = [row for row in split_finite([*step.rows])[0] if row not in logged]
        for start in range(0, len(rows), 900):
            some = rows[start : start + 900]
            self.client.log_batch(
                run_id, [Metric(row.name, row.value, row.at, row.step) for row in some]
            )
            logged.update(some)
        self.client.set_tag(run_id, SEEN, str(now_ms()))
        if step.ended:
            self.client.set_tag(run_id, ERROR, clip(step.error, MAX_TAG))
            self.client.set_terminated(run_id, step.ended, now_ms())
            self.run_ids.pop(step.derivation.digest())

    def set_aside(self, run: "Run") -> None:
        """Keep the run of an attempt that ended early, but no longer as that of its record."""
        run_id = run.info.run_id
        self.client.set_tag(run_id, ASIDE, run.data.tags[RECORD])
        self.client.delete_tag(run_id, RECORD)
        if run.info.status == "RUNNING":
            self.client.set_terminated(run_id, "KILLED")

    def end_silent(self, experiments: list[str], now: int) -> None:
        """End the active runs without a recent heartbeat: their process was killed."""
        if not experiments:
            return  # of none MLflow would search all
        for run in self.client.search_runs(experiments, "attributes.status = 'RUNNING'"):
            seen = run.data.tags.get(SEEN, "")
            if seen.isdecimal() and now - int(seen) > SILENT_MS:
                self.client.set_tag(run.info.run_id, ERROR, "no heartbeat: the process was killed")
                self.client.set_terminated(run.info.run_id, "KILLED", int(seen))


FIRST_SECONDS = 5.0
"""Seconds before a step is first shown; a shorter step is shown when it has ended."""
SECONDS = 10.0
"""Seconds between two reads of the queue: curves are at most half a minute late."""
MOST_WAITING = 100_000
"""Most values kept while MLflow does not answer; the oldest are dropped, the record has all."""
LAST_SECONDS = 10.0
"""Seconds that a failed step waits for MLflow to show it."""

Show = Callable[[Step], bool]
"""Shows a step in MLflow; returns whether MLflow has it now. Never raises."""


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
