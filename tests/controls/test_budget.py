"""Steps of equal time, and what the records of a student's rounds took."""

import pytest

from lineage.artifacts import Artifact
from lineage.records.record import Input
from lineage.store.store import FolderStore
from tasks.controls.budget import round_seconds, seconds_of, steps_within
from tasks.platform.step_runner import StepRunner
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        (26.0, 8),  # 10 to begin, 2 a step
        (27.0, 8),  # 8.5 rounds to the even number
        (110.0, 50),
        (3.0, 1),  # less than its start: one step all the same
    ],
)
def test_time_is_a_start_and_a_time_for_each_step(budget, steps):
    assert steps_within(budget, lambda count: 10 + 2 * count) == steps


def test_a_start_that_takes_all_is_shared_by_the_steps():
    # Both runs take 4 s, so a step counts as 4 / 8, and the start as 4 - 2 x 0.5.
    assert steps_within(4.0, lambda _: 4.0) == 2


def test_rounds_are_added_up_to_the_start(tmp_path):
    store = FolderStore(tmp_path / "store")
    runner = StepRunner(store, mirror=MemoryMirror())
    start = made(store, 0, None)
    first = made(store, 1, 3.5, [("student", start)])
    second = made(store, 2, 4.0, [("student", first)])
    assert round_seconds(runner, second, start) == 7.5
    assert seconds_of(runner, first) == 3.5
    with refused("no-recorded-cost"):
        seconds_of(runner, start)


def made(store, number, seconds, inputs=()):
    """Return a checkpoint whose record attests what it took."""
    digest = store.put_bytes(f"checkpoint {number}".encode())
    notes = {} if seconds is None else {"processor_seconds": seconds}
    taken = (Input.of(role, item) for role, item in inputs)
    record, _ = write_record(store, b"", *taken, kind="mopd", output=digest, notes=notes)
    return Artifact(kind="checkpoint", digest=digest, record=record)
