"""What a hostile or careless bundle can reach from its process: each test plants a canary."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from bundles import episodes, processes_of, write_bundle, zombie_children

from tasks.rollout.client import EnvironmentFailure
from tasks.rollout.worker import EnvironmentWorker, WorkerLimits

TOKEN = "canary-7f3a"
TRY = """
def attempt(action):
    try:
        return f"got {action()!r}"
    except BaseException as error:
        return f"refused {type(error).__name__}: {error}"
"""


@pytest.fixture
def ask(tmp_path):
    """Return a function that runs an expression in a worker and returns what it came to."""

    def evaluate(expression, top="", limits=None):
        folder = write_bundle(
            tmp_path / "team", top=TRY + top, respond=f"return attempt(lambda: {expression})"
        )
        with EnvironmentWorker(folder, limits) as worker:
            (reply,) = worker.respond(episodes("a"))
            evaluate.confinement = worker.confinement
        return reply

    yield evaluate
    assert processes_of(tmp_path) == []
    assert zombie_children() == []


def need(holds):
    """Skip where the platform refuses a layer: then Confinement says so, which is tested too."""
    if not holds:
        pytest.skip("this platform refuses that layer; EnvironmentWorker.confinement says so")


def test_no_variable_of_the_caller_is_passed_on(ask, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", TOKEN)
    found = ask("sorted(os.environ)", "import os\n")
    assert found == f"got {['LANG', 'MONTY_BIN', 'PYTHONHASHSEED', 'TMPDIR', 'TZ']!r}"


def test_the_callers_variables_cannot_be_read_from_its_process(ask, monkeypatch):
    found = ask(f"open('/proc/{os.getpid()}/environ').read()")
    need(ask.confinement.files_hidden)
    assert found.startswith("refused PermissionError")


def test_a_secret_file_cannot_be_read_or_found(ask, tmp_path):
    (tmp_path / "secret").write_text(TOKEN)
    found = ask(f"open({str(tmp_path / 'secret')!r}).read()")
    need(ask.confinement.files_hidden)
    assert found.startswith("refused PermissionError")
    assert ask(f"os.listdir({str(tmp_path)!r})", "import os\n").startswith("refused Permission")


def test_nothing_outside_its_own_folder_can_be_written_or_removed(ask, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    found = ask(f"open({str(tmp_path / 'new')!r}, 'w').write('x')")
    need(ask.confinement.files_hidden)
    assert found.startswith("refused PermissionError")
    assert ask(f"os.unlink({str(kept)!r})", "import os\n").startswith("refused Permission")
    assert ask(f"os.truncate({str(kept)!r}, 0)", "import os\n").startswith("refused Permission")
    bundle = tmp_path / "team" / "environment.py"
    assert ask(f"open({str(bundle)!r}, 'w')").startswith("refused Permission")
    assert kept.read_text() == "as it was"
    assert not (tmp_path / "new").exists()


def test_its_own_folder_is_writable_small_and_gone_afterwards(ask):
    path = ask("__import__('tempfile').mkstemp()[1]")
    assert path.startswith("got '/")
    assert not os.path.exists(path.removeprefix("got '").rstrip("'"))  # noqa: PTH110
    limits = WorkerLimits(file_bytes=1000)
    assert "File too large" in ask("open('f', 'wb').write(b'x' * 10**6)", limits=limits)


def test_another_program_cannot_be_started(ask):
    found = ask("subprocess.run(['/bin/sh', '-c', 'echo hello'])", "import subprocess\n")
    need(ask.confinement.files_hidden)
    assert found.startswith("refused PermissionError")


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
def test_no_socket_can_be_opened(ask, family):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = server.getsockname()
        found = ask(f"socket.socket(socket.{family}).connect({address!r})", "import socket\n")
        need(ask.confinement.network_cut)
        assert found.startswith("refused")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_it_cannot_signal_the_caller(ask):
    found = ask(f"os.kill({os.getpid()}, 0)", "import os\n")
    need(ask.confinement.processes_private)
    assert found.startswith("refused ProcessLookupError")


def test_it_cannot_regain_what_was_taken(ask):
    top = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    found = ask("(libc.unshare(1 << 28), libc.mount(b'x', b'/', b'tmpfs', 0, None))", top)
    need(ask.confinement.network_cut)
    assert found == "got (-1, -1)"


def test_what_it_starts_ends_with_it_even_in_a_session_of_its_own(ask, tmp_path):
    found = ask(
        "[leave() for _ in range(5)]",
        """
import os, time


def leave():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
""",
    )
    assert found.startswith("got")
    need(ask.confinement.processes_private)
    assert processes_of(tmp_path) == []


def test_a_fork_bomb_ends_at_the_time_limit(tmp_path):
    top = "import os, time\n"
    grade = """
        for _ in range(200):
            if os.fork() == 0:
                time.sleep(600)
        time.sleep(600)
        """
    folder = write_bundle(tmp_path / "team", top=top, grade=grade)
    with EnvironmentWorker(folder, WorkerLimits(call_seconds=1)) as worker:
        need(worker.confinement.processes_private)
        with pytest.raises(EnvironmentFailure, match=r"did not answer|BlockingIOError"):
            worker.grade(episodes("a"))
    assert processes_of(tmp_path) == []


def test_a_prompt_cannot_be_read_from_the_terminal(ask):
    assert ask("input()").startswith("refused EOFError")


def test_open_files_are_limited(ask):
    assert "Too many open files" in ask("[open('/dev/null') for _ in range(100)]")


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


CALLER = """
import sys
from pathlib import Path
from bundles import episodes
from tasks.rollout.worker import EnvironmentWorker

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


LAYERS = """
import json, socket, sys
from tasks.rollout import confine
layer, secret, writable = sys.argv[1:]
held = [confine.drop_privileges()]
if layer == "files":
    held.append(confine.hide_files([], writable))
if layer == "calls":
    held.append(confine.filter_system_calls())
def attempt(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "done"
print(json.dumps([all(held), attempt(lambda: open(secret)), attempt(lambda: socket.socket())]))
"""


@pytest.mark.parametrize(
    ("layer", "read", "socket_opened"),
    [
        ("none", "done", "done"),
        ("files", "PermissionError", "done"),
        ("calls", "done", "PermissionError"),
    ],
)
def test_each_layer_holds_without_the_others(tmp_path, layer, read, socket_opened):
    (tmp_path / "secret").write_text(TOKEN)
    (tmp_path / "own").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", LAYERS, layer, str(tmp_path / "secret"), str(tmp_path / "own")],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )
    held, *found = json.loads(done.stdout)
    need(held)
    assert found == [read, socket_opened]
