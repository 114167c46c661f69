"""What a hostile or careless bundle can reach from its process: each test plants a canary."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tasks.rollout.client import EnvironmentFailure
from tasks.rollout.worker.client import EnvironmentWorker
from tasks.rollout.worker.limits import WorkerLimits
from tests.support.bundles import episodes, processes_of, write_bundle, zombie_children
from tests.support.project_files import ROOT

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


@pytest.mark.parametrize(
    "change",
    [
        "os.chmod({key}, 0o777)",
        "os.utime({key}, (0, 0))",
        "os.setxattr({key}, 'user.mine', b'1')",
        "os.memfd_create('m')",
        "watch()",
    ],
)
def test_rights_and_times_of_files_outside_stay_and_no_folder_is_watched(ask, tmp_path, change):
    key = tmp_path / "key"
    key.write_text(TOKEN)
    key.chmod(0o600)
    before = key.stat()
    top = """
import ctypes, os


def watch():
    if ctypes.CDLL(None).inotify_init1(0) < 0:
        raise OSError
"""
    found = ask(change.format(key=repr(str(key))), top)
    need(ask.confinement.network_cut)
    assert found.startswith("refused")
    assert (key.stat().st_mode, key.stat().st_mtime) == (before.st_mode, before.st_mtime)


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


def test_a_process_that_two_looks_missed_is_ended_too():
    # One that loses its parent while we look is in neither list of children.
    program = """
import os, time
from tasks.rollout.worker import supervisor

real, looks = supervisor.descendants, []
supervisor.descendants = lambda: looks.append(0) or ({} if len(looks) < 4 else real())
if os.fork() == 0:
    time.sleep(600)
supervisor.end()
print(len(looks) > 3, real())
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (run.stdout, run.stderr) == ("True {}\n", "")


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
        with pytest.raises(
            EnvironmentFailure, match=r"did not answer|BlockingIOError|WorkerLimits.processes"
        ):
            worker.grade(episodes("a"))
    assert processes_of(tmp_path) == []


def test_it_reads_neither_the_terminal_nor_the_requests(ask):
    assert ask("input()").startswith("refused EOFError")
    assert ask("os.read(0, 10)", "import os\n") == "got b''"


def test_it_has_no_privileges_and_cannot_gain_any(ask):
    top = """
import ctypes
def capabilities():
    data = ctypes.create_string_buffer(24)
    ctypes.CDLL(None).capget(bytes.fromhex("2205082000000000"), data)
    return data.raw == bytes(24)
"""
    found = ask("(capabilities(), ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))", top)
    need(ask.confinement.files_hidden)
    assert found == "got (True, 1)"  # 39 asks whether new privileges are ruled out


def test_the_reported_confinement_holds(ask, tmp_path):
    (tmp_path / "secret").write_text(TOKEN)
    secret = str(tmp_path / "secret")
    top = "import os, socket\n"
    said = ask("socket.socket()", top).startswith("refused")
    assert said == ask.confinement.network_cut
    assert ask(f"open({secret!r})").startswith("refused") == ask.confinement.files_hidden
    assert (ask("os.getpid()", top) == "got 1") == ask.confinement.processes_private


def test_open_files_are_limited(ask):
    assert "Too many open files" in ask("[open('/dev/null') for _ in range(100)]")


LAYERS = """
import json, socket, sys
from tasks.rollout.worker import confine, system_calls
layer, secret, writable = sys.argv[1:]
held = [confine.leave_namespaces()] if layer == "namespaces" else [confine.drop_privileges()]
if layer == "files":
    held.append(confine.hide_files(sys.path, writable))
if layer == "calls":
    held.append(system_calls.filter_system_calls())
def attempt(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "done"
def connect():
    socket.socket().connect(("127.0.0.1", int(open(writable + "/port").read())))
found = [attempt(lambda: open(secret)), attempt(socket.socket), attempt(connect)]
print(json.dumps([all(held), *found]))
"""


@pytest.mark.parametrize(
    ("layer", "read", "opened", "connected"),
    [
        ("none", "done", "done", "done"),
        ("files", "PermissionError", "done", "PermissionError"),
        ("calls", "done", "PermissionError", "PermissionError"),
        ("namespaces", "done", "done", "OSError"),  # the network is unreachable
    ],
)
def test_each_layer_holds_without_the_others(tmp_path, layer, read, opened, connected):
    (tmp_path / "secret").write_text(TOKEN)
    own = tmp_path / "own"
    own.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        (own / "port").write_text(str(server.getsockname()[1]))
        done = subprocess.run(
            [sys.executable, "-c", LAYERS, layer, str(tmp_path / "secret"), str(own)],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        )
    held, *found = json.loads(done.stdout)
    need(held)
    assert found == [read, opened, connected]
