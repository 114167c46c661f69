"""What is left of a worker when something ends at the wrong moment: nothing."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tasks.rollout.client import EnvironmentFailure
from tasks.rollout.environment import Grade
from tasks.rollout.worker.client import EnvironmentWorker
from tasks.rollout.worker.limits import WorkerLimits
from tests.support.bundles import episodes, processes_of, write_bundle, zombie_children

HANG = "while turns[-1].content == 'hang': pass\nreturn Grade(1.0)"


def gone(folder):
    """Wait until no process of a folder's bundle is left; say whether that came."""
    deadline = time.monotonic() + 5
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not processes_of(folder)


def test_a_killed_supervisor_takes_the_bundle_with_it_and_the_next_call_starts_afresh(tmp_path):
    with EnvironmentWorker(write_bundle(tmp_path, grade=HANG)) as worker:
        timer = threading.Timer(0.3, os.kill, (worker._process.pid, signal.SIGKILL))
        timer.start()
        with pytest.raises(EnvironmentFailure, match=r"died|ended"):
            worker.grade(episodes("hang"))
        timer.join()
        assert gone(tmp_path)
        assert worker.grade(episodes("a")) == [Grade(1.0)]
    assert zombie_children() == []


def test_ctrl_c_during_a_call_ends_the_process_and_the_next_call_starts_afresh(tmp_path):
    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    with EnvironmentWorker(write_bundle(tmp_path, grade=HANG)) as worker:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            worker.grade(episodes("hang"))
        assert processes_of(tmp_path) == []
        assert worker.grade(episodes("a")) == [Grade(1.0)]
    signal.signal(signal.SIGALRM, before)


def test_the_terminals_ctrl_c_is_the_callers_alone(tmp_path):
    with EnvironmentWorker(write_bundle(tmp_path)) as worker:
        assert os.getsid(worker._process.pid) != os.getsid(0)


@pytest.mark.parametrize("delay", [0, 0.01, 0.02, 0.04, 0.06, 0.08])
def test_a_worker_ended_while_it_starts_leaves_nothing(tmp_path, delay):
    worker = EnvironmentWorker(write_bundle(tmp_path, top="while True: pass"))
    process = worker._launch()
    time.sleep(delay)
    process.close()
    assert gone(tmp_path)
    assert zombie_children() == []


IN_A_CONTAINER = """
import os, sys
from pathlib import Path
from tests.support.bundles import episodes, processes_of
from tasks.rollout.worker import confine, system_calls
from tasks.rollout.worker.client import EnvironmentWorker

# A container's runtime refuses namespaces in this way.
confine.drop_privileges()
system_calls.filter_system_calls()
folder = Path(sys.argv[1])
with EnvironmentWorker(folder) as worker:
    held = worker.confinement
    replies = worker.respond(episodes("a"))
print(held.network_cut, held.files_hidden, held.processes_private, replies[0], processes_of(folder))
"""


def test_where_namespaces_are_refused_the_other_layers_hold(tmp_path):
    respond = """
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        try:
            socket.socket()
        except OSError:
            return "refused"
        """
    folder = write_bundle(tmp_path / "team", top="import os, socket, time", respond=respond)
    with EnvironmentWorker(write_bundle(tmp_path / "other")) as worker:
        if not worker.confinement.processes_private or not worker.confinement.files_hidden:
            pytest.skip("this platform has no namespaces or no Landlock to begin with")
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CONTAINER, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == "True True False refused []\n"


@pytest.mark.medium
def test_a_call_that_never_ends_is_ended_by_its_processor_time_too(tmp_path):
    limits = WorkerLimits(cpu_seconds=1, call_seconds=30)
    with EnvironmentWorker(write_bundle(tmp_path, grade=HANG), limits) as worker:
        began = time.monotonic()
        with pytest.raises(
            EnvironmentFailure,
            match=r"SIGKILL .*cpu_seconds",
        ):
            worker.grade(episodes("hang"))
        assert time.monotonic() - began < 10


def test_a_worker_outlives_the_thread_that_started_it(tmp_path):
    worker = EnvironmentWorker(write_bundle(tmp_path / "team", respond="return 'here'"))
    thread = threading.Thread(target=worker.__enter__)
    thread.start()
    thread.join()
    time.sleep(0.1)
    with worker:
        assert worker.respond(episodes("a")) == ["here"]


def test_starting_and_stopping_leaves_no_open_file(tmp_path):
    folder = write_bundle(tmp_path / "team")
    with EnvironmentWorker(folder):
        pass
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        with EnvironmentWorker(folder):
            pass
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


IDLE_CALLER = """
import os, sys, time
from pathlib import Path
from tasks.rollout.worker.client import EnvironmentWorker

worker = EnvironmentWorker(Path(sys.argv[1]))
worker.__enter__()
worker._process._process.stdin.close()  # as the kernel does, a moment before the caller is gone
time.sleep(1)
os._exit(0)
"""


def test_nothing_is_left_of_an_idle_worker_when_the_caller_ends(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    subprocess.run(
        [sys.executable, "-c", IDLE_CALLER, str(write_bundle(tmp_path / "team"))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(scratch)},
        check=True,
    )
    assert gone(tmp_path)
    assert list(scratch.iterdir()) == []


CALLER = """
import sys
from pathlib import Path
from tests.support.bundles import episodes
from tasks.rollout.worker.client import EnvironmentWorker

with EnvironmentWorker(Path(sys.argv[1])) as worker:
    print("ready", flush=True)
    worker.grade(episodes("a"))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_the_caller_ends(tmp_path, how):
    hang = write_bundle(tmp_path / "team", grade="while True: pass")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(hang)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with caller:
        assert caller.stdout.readline() == b"ready\n"
        assert len(processes_of(tmp_path)) == 3  # the caller, the supervisor and the bundle
        time.sleep(0.2)
        caller.send_signal(how)
        caller.wait(10)
    deadline = time.monotonic() + 5
    while processes_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_of(tmp_path) == []
    assert list(scratch.iterdir()) == []  # its temporary folder is gone too
