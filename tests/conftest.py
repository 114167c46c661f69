"""What holds for every test: one thread, no network, a home folder of its own."""

import fcntl
import gc
import itertools
import os
import shutil
import signal
import socket
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from lineage.store.scratch import remove

# Before anything imports torch, transformers or mlflow. In the environment rather than in a
# fixture, so that child processes have it too.
os.environ |= {
    "DO_NOT_TRACK": "true",
    "FLYTE_LOCAL_CACHE_ENABLED": "false",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_OFFLINE": "1",
}

# Stores wait for the disk at every blob, and most tests make a store. A file system in memory does
# not wait. A folder that TMPDIR names is used as ever.
MEMORY = Path("/dev/shm")
LEAST_ROOM = 4 << 30
"""Bytes; all tests together took 252 MiB, and a container may have 64 MiB."""


def _room_in_memory() -> bool:
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK)):
        return False
    found = os.statvfs(MEMORY)
    runs_programs = not found.f_flag & os.ST_NOEXEC
    return runs_programs and found.f_bavail * found.f_frsize >= LEAST_ROOM


def _folder_in_memory() -> Path:
    """Return a folder of this run, after removing those of runs that were killed."""
    prefix = f"provost-tests-{os.getuid()}-"
    for left in MEMORY.glob(f"{prefix}*"):
        if not Path("/proc", left.name.removeprefix(prefix)).exists():
            remove(left)
    folder = MEMORY / f"{prefix}{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o1777)  # as /tmp: some tests of root become another user
    return folder


# Workers are given TMPDIR by the process that starts them, which removes the folder.
OWN = _folder_in_memory() if "TMPDIR" not in os.environ and _room_in_memory() else None
if OWN is not None:
    os.environ["TMPDIR"] = str(OWN)
    tempfile.tempdir = None  # it may have been asked for already

# A shell that runs the tests in the background has them ignore SIGINT; children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Where the key of the person who runs the tests is kept: one person for all of them.
SETTINGS = Path(tempfile.gettempdir()) / f"provost-tests-{os.getuid()}"
os.environ["XDG_CONFIG_HOME"] = str(SETTINGS)
for name in ("PROVOST_SIGNING_KEY", "PROVOST_SIGNING_KEY_FILE"):
    os.environ.pop(name, None)

ROOT = Path(__file__).resolve().parents[1]
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def pytest_addoption(parser):
    """Take the place of an environment that ``make test-engines`` has made."""
    parser.addoption("--vllm", type=Path, default=ROOT / ".engines" / "vllm", metavar="FOLDER")


def pytest_unconfigure():
    """Remove what this run has in memory; what a failed test left stays until the next run."""
    if OWN is not None and not any(OWN.glob("pytest-of-*/pytest-*/*")):
        remove(OWN)


def pytest_collection_finish():
    """Leave all that was imported out of garbage collections.

    A collection over torch, transformers, MLflow and 5,000 tests takes half a second, and Hugging
    Face's trainer makes one in every training.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    """Homes of tests that make no other file, each with a path that no test had before."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / f"home-{number}" for number in itertools.count())


@pytest.fixture(autouse=True)
def home(request, homes, monkeypatch):
    """Give the test a store and an MLflow database of its own; return the folder."""
    # Thousands of tests write no file: making a folder for each took seconds.
    own = "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") / "home" if own else next(homes)
    monkeypatch.setenv("PROVOST_HOME", str(folder))
    for name in ("PROVOST_STORE", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    failed_before = request.session.testsfailed
    yield folder
    if not own and folder.exists() and request.session.testsfailed == failed_before:
        remove(folder)


@pytest.fixture(scope="session")
def make_once(tmp_path_factory):
    """Return a function that makes a file or folder which all workers share, and returns it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def made(name, make):
        whole, part = shared / name, shared / f"{name}.part"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                shutil.rmtree(part, ignore_errors=True)  # of a worker that failed
                make(part)
                part.rename(whole)
        return whole

    return made


@pytest.fixture(scope="session")
def kept_homes(tmp_path_factory):
    """Copies of finished homes, which tests that only read hand on to each other."""
    from tests.support.kept_homes import KeptHomes

    return KeptHomes(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="session")
def mlflow_database(make_once):
    """An MLflow database with its tables, made once: making them takes more than a second."""

    def make(folder):
        from lineage.mirror import connection

        folder.mkdir()
        file = folder / "mlflow.db"
        connection.client_of(f"sqlite:///{file}").search_experiments()
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that one file is all of it

    return make_once("mlflow", make) / "mlflow.db"


@pytest.fixture
def tracked_home(home, mlflow_database):
    """Put an MLflow database without runs into this test's home; return the home."""
    home.mkdir(exist_ok=True)
    shutil.copyfile(mlflow_database, home / "mlflow.db")
    return home


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """Refuse connections to other machines: whatever needs one would fail for a user too."""
    connect = socket.socket.connect

    def connect_nearby(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            raise OSError(f"a test tried to reach {address}; tests run without a network")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_nearby)
        yield


@pytest.fixture(scope="session")
def chromium():
    """Return the path of a browser."""
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    return next(found, None) or pytest.skip("no chromium on this machine")
