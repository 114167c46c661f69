"""A command of the product, or a step of ours, with the processor time of each kind of record.

    python -m benchmarks.real.metered SPENT run teacher benchmarks.real.teams.sums --json

SPENT is a JSON file: seconds by kind of record, such as ``sft``, ``rl`` and ``mopd``. A run that
is stopped and started again adds to it, so what it lost on the way is counted too.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common.results import load, write_whole
from lineage.records.record import Derivation
from tasks.platform.measurements import Measurements, processor_seconds
from tasks.platform.step_runner import StepRunner

REST = "rest"
"""Time outside what makes a record: imports, hashing, storing, finding what is finished."""


class Meter:
    """Adds up processor time by kind of record."""

    def __init__(self, clock: Callable[[], float] = processor_seconds) -> None:
        self._clock, self._began, self.spent = clock, clock(), dict[str, float]()

    @contextmanager
    def running(self, kind: str) -> Iterator[None]:
        """Count the time within for a kind."""
        began = self._clock()
        try:
            yield
        finally:
            self.spent[kind] = self.spent.get(kind, 0.0) + self._clock() - began

    def total(self) -> dict[str, float]:
        """Return the seconds by kind, with the rest."""
        return {**self.spent, REST: self._clock() - self._began - sum(self.spent.values())}


def added(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Return the sums of two accounts."""
    names = sorted({*first, *second})
    return {name: round(first.get(name, 0.0) + second.get(name, 0.0), 1) for name in names}


@contextmanager
def metered(file: Path) -> Iterator[None]:
    """Count what steps make within, and add it to a file also when the run is stopped."""
    meter, shown_live = Meter(), StepRunner.shown_live

    @contextmanager
    def counted(
        runner: StepRunner, derivation: Derivation, measurements: Measurements, owner: str
    ) -> Iterator[None]:
        with (
            meter.running(derivation.kind),
            shown_live(runner, derivation, measurements, owner),
        ):
            yield

    StepRunner.shown_live = counted  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        StepRunner.shown_live = shown_live  # type: ignore[method-assign]
        write_whole(file, added(load(file, {}), meter.total()))


def main() -> None:
    """Run a command under the meter."""
    spent, words = Path(sys.argv[1]), sys.argv[2:]
    with metered(spent):
        from benchmarks.real import own  # noqa: PLC0415 - after the clock has begun

        if words[0] in own.STEPS:
            sys.stdout.write(json.dumps(own.STEPS[words[0]](*words[1:])) + "\n")
        else:
            from workflows.cli import main as provost  # noqa: PLC0415

            provost(words)


if __name__ == "__main__":
    main()
