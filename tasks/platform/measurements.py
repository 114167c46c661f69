"""What a step measures while it works, and who listens to it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

from pydantic import JsonValue

from lineage.records.derivation import Sample

_SPENT = "processor_seconds.json"


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    spent = (getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


@dataclass
class Measurements:
    """What a step measured along the way: step, name and value, for the record and MLflow."""

    source: str
    rows: list[Sample] = field(default_factory=list)
    notes: dict[str, JsonValue] = field(default_factory=dict)
    """Circumstances worth attesting, such as how environments were confined."""
    listeners: list[Callable[[Sequence[Sample]], None]] = field(default_factory=list)
    """Callbacks for each new value, and for the values that a state restores."""
    clock: Callable[[], float] = time.time
    processor: Callable[[], float] = processor_seconds

    def __post_init__(self) -> None:
        """Count processor time from here."""
        self._began, self._before = self.processor(), 0.0

    @property
    def processor_seconds(self) -> float:
        """Processor seconds since the step began, with those before the state it resumed from."""
        return self._before + self.processor() - self._began

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics of one optimizer step."""
        at = round(self.clock() * 1000)
        new = [Sample(step, name, float(value), self.source, at) for name, value in metrics.items()]
        self.rows += new
        self._tell(new)

    def save(self, folder: Path) -> None:
        """Write the measurements so far, for a run that may be killed."""
        (folder / "rows.json").write_text(json.dumps(self.rows), "utf-8")
        (folder / _SPENT).write_text(json.dumps(self.processor_seconds), "utf-8")

    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote."""
        rows = json.loads((folder / "rows.json").read_text("utf-8"))
        self.rows = [Sample(*row) for row in rows]
        spent = folder / _SPENT
        self._before = json.loads(spent.read_text("utf-8")) if spent.exists() else 0.0
        self._tell(self.rows)

    def _tell(self, samples: Sequence[Sample]) -> None:
        for listener in self.listeners:
            listener(samples)


Listener = Callable[[Sequence[Sample]], None]
_WATCHED: ContextVar[Callable[[Measurements], None] | None] = ContextVar("watched", default=None)


@contextmanager
def measured_here(listener: Listener | None = None) -> Iterator[list[Measurements]]:
    """Yield the measurements of what is made within, in a list that grows, also where it fails.

    ``listener`` receives each value as it is measured.
    """
    measurements: list[Measurements] = []

    def watch(made: Measurements) -> None:
        measurements.append(made)
        if listener is not None:
            made.listeners.append(listener)

    token = _WATCHED.set(watch)
    try:
        yield measurements
    finally:
        _WATCHED.reset(token)


def new_measurements(source: str) -> Measurements:
    """Return empty measurements of a step, which ``measured_here`` sees."""
    measurements = Measurements(source)
    if (watch := _WATCHED.get()) is not None:
        watch(measurements)
    return measurements
