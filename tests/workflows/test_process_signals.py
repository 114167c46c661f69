"""Interrupting the driver of parallel processes: no child is left, whatever happens."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.children import ROOT, Recorder, child, is_alive, wait_until
from workflows.process import run_side_by_side
from workflows.progress import Status


def parent(tmp_path, child_code):
    """Start a process that drives two children, which write their process ids to files."""
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from workflows.process import Job, run_side_by_side
from workflows.progress import Lines
child = {child_code!r}
jobs = [Job(n, (sys.executable, "-S", "-c", child, {str(tmp_path)!r} + "/" + n)) for n in "ab"]
run_side_by_side(jobs, 2, Lines(sys.stderr), logs=Path({str(tmp_path)!r}))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    files = [tmp_path / "a", tmp_path / "b"]
    wait_until(lambda: all(file.exists() and file.read_text().endswith(".") for file in files))
    return process, [int(file.read_text()[:-1]) for file in files]


SLEEPER = """
import os, sys, time
os.write(int(os.environ["PROVOST_PROGRESS_FD"]), b"a pipe that has been written to\\n")
assert os.readlink("/proc/self/fd/0") == os.devnull
open(sys.argv[1], "w").write(f"{os.getpid()}.")
time.sleep(60)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + SLEEPER


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_all_children_and_says_how_to_go_on(tmp_path, number, code):
    process, pids = parent(tmp_path, SLEEPER)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert not any(is_alive(pid) for pid in pids)
    assert errors.splitlines()[-1] == (
        "Stopped. What was finished is kept: run the same command again to go on."
    )
    assert "Traceback" not in errors


def test_a_second_interrupt_kills_children_that_ignore_the_first(tmp_path):
    process, pids = parent(tmp_path, STUBBORN)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert all(is_alive(pid) for pid in pids)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert time.monotonic() - began < 3.0  # the grace is 5 seconds
    assert process.returncode == 130
    assert not any(is_alive(pid) for pid in pids)


def test_what_waits_is_not_started_after_an_interrupt(tmp_path):
    def interrupt(name):
        Recorder.start(show, name)
        os.kill(os.getpid(), signal.SIGTERM)

    show = Recorder()
    show.start = interrupt
    jobs = [child("first", "time.sleep(60)"), child("later", "")]
    with pytest.raises(SystemExit) as ended:
        run_side_by_side(jobs, 1, show, logs=tmp_path)
    assert ended.value.code == 143
    assert show.started == ["first"]
    assert [outcome.status for outcome in show.ended] == [Status.STOPPED]


def test_children_die_with_a_parent_that_is_killed(tmp_path):
    process, pids = parent(tmp_path, STUBBORN)
    process.kill()
    process.communicate(timeout=20)
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_signal_handlers_are_put_back(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run_side_by_side([child("a", "")], 1, Recorder(), logs=tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
