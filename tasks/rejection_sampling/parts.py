"""A long list made part by part; a killed run loses at most the part that it was making."""

from collections.abc import Callable, Sequence
from itertools import chain
from math import ceil
from pathlib import Path

from lineage.records.record import Derivation
from tasks.platform.measurements import Measurements
from tasks.platform.resume import States
from tasks.platform.step_runner import StepRunner
from tasks.rollout.responses import ScoredResponse, read_responses, write_responses

PART_RESPONSES = 256
"""Least number of responses of a part: what a player samples in one batch."""
MOST_PARTS = 64
"""Maximum number of parts. A state holds all parts so far, so more would make states the work."""

MakePart = Callable[[int], Sequence[ScoredResponse]]
"""Makes the part of a number, counted from 0. The same number gives the same part."""


def part_size(num_responses: int) -> int:
    """Return the number of responses of a part, of so many responses in all."""
    return max(PART_RESPONSES, ceil(num_responses / MOST_PARTS))


class _Done:
    """The parts that are made, as a part of a run's state."""

    def __init__(self) -> None:
        self.parts: list[Sequence[ScoredResponse]] = []

    def save(self, folder: Path) -> None:
        for number, part in enumerate(self.parts):
            write_responses(folder / f"{number:06}.jsonl", part)

    def load(self, folder: Path) -> None:
        self.parts = [read_responses(file) for file in sorted(folder.iterdir())]


def make_parts(
    runner: StepRunner,
    derivation: Derivation,
    measurements: Measurements,
    num_parts: int,
    make: MakePart,
) -> list[ScoredResponse]:
    """Return the responses of all parts in order, from the last state if there is one.

    Each part is in the store as soon as it is made.
    """
    done = _Done()
    states = States(
        runner.store, derivation.digest(), {"parts": done, "measurements": measurements}
    )
    for number in range(states.restore(), num_parts):
        done.parts.append(make(number))
        if number + 1 < num_parts:
            states.save(number + 1)
            states.save_if_due(number + 1)  # where the attempt has to end, it ends here
    return list(chain.from_iterable(done.parts))
