"""How jobs that run side by side are shown."""

import io
import time
from pathlib import Path

from rich.console import Console

from tasks.platform.progress import Update
from workflows.progress import JobOutcome, Lines, LiveTable, Status, progress_on


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


FAILED = JobOutcome("math", Status.FAILED, 61.0, Path("logs/math.log"), 3, ("one", "[b]two[/b]"))


def table_of(table):
    console = Console(file=io.StringIO(), width=120)
    console.print(table.table())
    return [line.split() for line in console.file.getvalue().splitlines()]


def a_table(clock):
    return LiveTable(Console(file=io.StringIO(), width=120, force_terminal=True), clock)


def test_the_table_shows_stage_step_reward_kl_and_time_left():
    clock = Clock()
    table = a_table(clock)
    table.start("math")
    table.update("math", Update("math rl", 1, 5, {"reward": 0.5, "kl": 0.01}))
    clock.now += 2.0
    table.update("math", Update("math rl", 2, 5, {"reward": 0.75, "kl": 0.02}))
    assert table_of(table) == [
        ["job", "stage", "step", "reward", "kl", "loss", "left"],
        ["math", "rl", "2/5", "0.75", "0.02", "6s"],
    ]


def test_the_table_shows_a_job_that_has_not_reported_and_one_that_has_ended():
    table = a_table(Clock())
    table.start("math")
    table.start("code")
    table.update("code", Update("rl", 5, 5))
    table.end(JobOutcome("code", Status.DONE, 185.0, Path("code.log"), 0))
    assert table_of(table)[1:] == [["math", "starting"], ["code", "done", "in", "3m", "05s", "5/5"]]


def test_a_failure_is_written_above_the_table_letter_by_letter():
    table = a_table(Clock())
    table.start("math")
    with table.live:
        table.end(FAILED)
    shown = table.live.console.file.getvalue()
    assert "math failed after 1m 01s (exit code 3); log: logs/math.log" in shown
    assert "  | [b]two[/b]" in shown  # a log is not markup


def test_a_terminal_shows_a_report_without_another_call():
    table = a_table(time.monotonic)
    table.start("math")
    with table.live:
        table.update("math", Update("math rl", 1, 5))
        deadline = time.monotonic() + 10
        while "1/5" not in table.live.console.file.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_lines_come_with_a_new_stage_the_last_step_and_every_five_seconds():
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, clock)
    lines.start("math")
    for step in range(1, 6):
        lines.update("math", Update("math sft", step, 5))
        clock.now += 2.0
    lines.update("math", Update("math rl", 1, 5, {"reward": 0.5}))
    lines.end(JobOutcome("math", Status.DONE, 185.0, Path("math.log"), 0))
    assert stream.getvalue().splitlines() == [
        "math: started",
        "math: sft 1/5",
        "math: sft 4/5 eta 2s",
        "math: sft 5/5",
        "math: rl 1/5 reward 0.5",
        "math done after 3m 05s",
    ]


def test_a_killed_job_is_reported_as_killed():
    killed = JobOutcome("math", Status.FAILED, 1.0, Path("math.log"), -9)
    assert killed.describe() == "math failed after 1s (killed); log: math.log"


def test_only_a_terminal_gets_a_table():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with progress_on(io.StringIO()) as show:
        assert isinstance(show, Lines)
    with progress_on(Terminal()) as show:
        assert isinstance(show, LiveTable)
        assert show.live.is_started
    assert not show.live.is_started
