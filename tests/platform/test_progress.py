"""Reports out of a training loop, with a clock that the test moves."""

import io
import math
import os
import subprocess
import sys

import pytest

from tasks.platform.progress import (
    PROGRESS_FD,
    Reporter,
    TimeLeft,
    Update,
    decode,
    format_metric,
    format_seconds,
)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_time_left_is_the_pace_so_far_times_the_steps_to_go():
    clock = Clock()
    time_left = TimeLeft(clock)
    assert time_left.seconds("rl", 10, 50) is None  # a resumed stage: step 10 is its beginning
    clock.now += 6.0
    # 2 steps in 6 s, 38 to go: 38 * 3 s
    assert time_left.seconds("rl", 12, 50) == 114.0
    assert time_left.seconds("rl", 50, 50) == 0.0


def test_time_left_begins_anew_with_a_stage():
    clock = Clock()
    time_left = TimeLeft(clock)
    time_left.seconds("sft", 1, 10)
    clock.now += 100.0
    assert time_left.seconds("rl", 2, 10) is None
    clock.now += 1.0
    assert time_left.seconds("rl", 3, 10) == 7.0
    assert time_left.seconds("rl", 1, 10) is None  # the stage was begun again
    clock.now += 2.0
    assert time_left.seconds("rl", 2, 10) == 16.0
    clock.now += 2.0
    assert time_left.seconds("rl", 1, 10) is None  # and again, though not from further back
    clock.now += 3.0
    assert time_left.seconds("rl", 2, 10) == 24.0


def test_time_left_follows_the_speed_of_the_last_minute():
    clock = Clock()
    time_left = TimeLeft(clock)
    for step in range(1, 101):  # 1 step/s
        assert time_left.seconds("sft", step, 1000) == (None if step == 1 else 1000 - step)
        clock.now += 1.0
    slow = []
    for step in range(101, 116):  # from now on 10 s a step
        clock.now += 9.0
        slow.append(time_left.seconds("sft", step, 1000) / (1000 - step))
        clock.now += 1.0
    assert slow == sorted(slow)
    assert slow[0] < 2.0
    assert slow[6:] == [10.0] * 9  # after a minute nothing of the old speed is left


def test_progress_before_the_first_step_is_not_a_step():
    clock = Clock()
    time_left = TimeLeft(clock)
    assert time_left.seconds("sft", 0, 100) is None  # loads
    clock.now += 300.0
    assert time_left.seconds("sft", 50, 100) is None  # a resumed run begins here
    clock.now += 5.0
    assert time_left.seconds("sft", 60, 100) == 20.0


def test_steps_of_minutes_have_a_time_left_too():
    clock = Clock()
    time_left = TimeLeft(clock)
    assert time_left.seconds("mopd", 1, 10) is None
    for step in range(2, 10):
        clock.now += 200.0
        assert time_left.seconds("mopd", step, 10) == 200.0 * (10 - step)


def test_a_search_for_finished_work_reports_nothing():
    program = (
        "from tasks.platform.progress import report\n"
        "from tasks.platform.step_runner import find_finished\n"
        "find_finished(lambda: report('blend', 0, 4))\n"
        "report('blend', 1, 4)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "blend 1/4\n")


def test_time_left_of_an_unknown_total_is_unknown():
    assert TimeLeft(Clock()).seconds("rl", 3, 0) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.2, "1s"), (59, "59s"), (60, "1m 00s"), (185, "3m 05s"), (7800, "2h 10m")],
)
def test_a_duration_reads_as_a_person_says_it(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.934, "0.934"), (12.41, "12.4"), (1.0, "1"), (0.0000123, "1.23e-05")]
)
def test_a_metric_has_three_digits(value, text):
    assert format_metric(value) == text


def test_a_report_survives_the_pipe():
    update = Update("math rl", 40, 120, {"reward": 0.93, "kl": 0.01}, "saved \N{BULLET}")
    assert decode(update.encode()) == update
    assert update.encode().count(b"\n") == 1


def test_a_metric_that_is_not_a_number_survives_the_pipe():
    update = decode(Update("s", 1, 2, {"loss": math.nan}).encode())
    assert update is not None
    assert math.isnan(update.metrics["loss"])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"epoch 1",
        b"[]",
        b"3",
        b'{"stage": "s", "step": 1, "total": 2}',
        b'{"stage": 7, "step": 1, "total": 2, "metrics": {}}',
        b'{"stage": "s", "step": "x", "total": 2, "metrics": {}}',
        b'{"stage": "s", "step": 1e999, "total": 2, "metrics": {}}',
        b'{"stage": "s", "step": 1, "total": 2, "metrics": []}',
        b'{"stage": "s", "step": 1, "total": 2, "metrics": {"a": null}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_anything_else_on_the_pipe_is_nothing(line):
    assert decode(line) is None


def test_lines_are_thinned_out_but_the_last_step_is_shown():
    clock, stream = Clock(), io.StringIO()
    reporter = Reporter(None, stream, clock)
    for step in range(1, 10):
        reporter.report(Update("math rl", step, 9, {"reward": step / 10}))
        clock.now += 2.0
    # at 2 s a step and 5 s between lines: steps 1, 4, 7, and 9 because it is the last
    assert stream.getvalue().splitlines() == [
        "math rl 1/9 reward 0.1",
        "math rl 4/9 reward 0.4 eta 10s",
        "math rl 7/9 reward 0.7 eta 4s",
        "math rl 9/9 reward 0.9",
    ]


def test_on_a_terminal_one_line_is_redrawn_and_a_finished_stage_stays():
    clock, stream = Clock(), Terminal()
    reporter = Reporter(None, stream, clock)
    for step in (1, 2):
        reporter.report(Update("sft", step, 2))
        clock.now += 1.0
    reporter.report(Update("rl", 1, 2))
    assert stream.getvalue() == "\r\x1b[2Ksft 1/2\r\x1b[2Ksft 2/2\n\r\x1b[2Krl 1/2"


def test_an_unfinished_stage_stays_on_the_terminal_when_another_begins():
    stream = Terminal()
    reporter = Reporter(None, stream, Clock())
    reporter.report(Update("sft", 1, 9))
    reporter.report(Update("rl", 1, 9))
    assert stream.getvalue() == "\r\x1b[2Ksft 1/9\nrl 1/9"


def test_a_listener_that_goes_away_does_not_stop_the_work():
    ours, theirs = os.pipe()
    stream = io.StringIO()
    reporter = Reporter(theirs, stream, Clock())
    reporter.report(Update("rl", 1, 9))
    assert decode(os.read(ours, 4096)) == Update("rl", 1, 9)
    os.close(ours)
    reporter.report(Update("rl", 2, 9))
    reporter.report(Update("rl", 3, 9))
    os.close(theirs)
    assert stream.getvalue() == "rl 3/9\n"  # the second fell into the closed pipe


CHILD = """
import os
text = os.environ["PROVOST_PROGRESS_FD"]
from tasks.platform.progress import report
report("s", 1, 2)
print(sorted(os.environ))
if text.isdecimal() and os.path.exists(f"/proc/self/fd/{text}"):
    print("inheritable", os.get_inheritable(int(text)))
"""


def run_child(value, **options):
    environment = {**os.environ, PROGRESS_FD: value}
    command = [sys.executable, "-c", CHILD]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, **options
    )


@pytest.mark.parametrize("value", ["", "x", "-1", "999"])
def test_without_an_open_descriptor_progress_is_a_line(value):
    assert run_child(value).stderr == "s 1/2\n"


def test_a_descriptor_that_is_a_file_is_not_written_to(tmp_path):
    with (tmp_path / "data").open("w") as file:
        ran = run_child(str(file.fileno()), pass_fds=[file.fileno()])
    assert ran.stderr == "s 1/2\n"
    assert (tmp_path / "data").read_text() == ""


def test_the_descriptor_is_not_handed_on_to_a_childs_children():
    ours, theirs = os.pipe()
    ran = run_child(str(theirs), pass_fds=[theirs])
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        assert decode(pipe.read()) == Update("s", 1, 2)
    assert PROGRESS_FD not in ran.stdout
    assert "inheritable False" in ran.stdout
