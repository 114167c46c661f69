"""Pages of a step that runs: drawn every 20 seconds, and at the end whatever it was."""

import pytest

from lineage.digest import digest_json
from lineage.records.record import Derivation
from tasks.platform.step_runner import StepRunner
from tasks.platform.views import drawn_live
from tasks.reports.curves import measured_page
from tests.support.mirrors import MemoryMirror


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def train(clock, seconds, steps, fails_at=None):
    """Make something that measures a loss at each step."""
    runner = StepRunner(mirror=MemoryMirror())
    derivation = Derivation(
        project=runner.project,
        kind="sft",
        inputs=(),
        source=digest_json("code"),
        settings={"steps": steps},
        seed=0,
    )

    def make(folder, measurements):
        for step in range(1, steps + 1):
            clock.now += seconds
            measurements.add(step, {"loss": 1.0 / step})
            if step == fails_at:
                raise ValueError("it diverged")
        (folder / "out").write_text("x")
        return folder / "out"

    return runner.find_or_make(derivation, "checkpoint", make)


def last_steps(parts):
    return [part[-1].step for part in parts if part]


def test_a_page_is_drawn_every_twenty_seconds_and_once_at_the_end(clock):
    shown = []
    with drawn_live(last_steps, shown.append, clock):
        train(clock, seconds=8.0, steps=9)
    assert shown == [[3], [6], [9], [9]]  # at 24, 48 and 72 seconds, and when it is over


def test_a_step_that_fails_leaves_the_page_as_far_as_it_came(clock):
    shown = []
    with pytest.raises(ValueError, match="diverged"), drawn_live(last_steps, shown.append, clock):
        train(clock, seconds=1.0, steps=9, fails_at=4)
    assert shown == [[4]]


def test_a_page_that_cannot_be_shown_does_not_stop_the_step(clock):
    shown = []

    def show(page):
        if clock.now < 30:
            raise ConnectionError("the store has gone")
        shown.append(page)

    with drawn_live(last_steps, show, clock):
        train(clock, seconds=25.0, steps=2)
    assert shown == [[2], [2]]


def test_a_task_that_is_found_finished_shows_that_on_its_page(clock):
    train(clock, seconds=1.0, steps=2)
    shown = []
    with drawn_live(lambda parts: measured_page("math sft", parts), shown.append, clock):
        train(clock, seconds=1.0, steps=2)
    [page] = shown
    assert "found in the store" in page


def test_a_page_of_curves_has_one_for_each_metric(clock):
    shown = []
    with drawn_live(lambda parts: measured_page("math sft", parts), shown.append, clock):
        train(clock, seconds=1.0, steps=3)
    [page] = shown
    assert "math sft" in page
    assert "loss" in page
    assert "Steps 1 to 3" in page
