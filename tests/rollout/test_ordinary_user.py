"""The worker for an ordinary user whom the machine refuses user namespaces.

RLIMIT_NPROC counts all threads of the user then: a browser's would stop every environment.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

from tasks.rollout.worker import client, confine
from tests.support import ordinary_user

PROGRAM = """
import os, sys, tempfile
from pathlib import Path
from tests.support.bundles import episodes, write_bundle
from tasks.rollout.worker.client import EnvironmentWorker

RUN = '''
from tasks.rollout.sandbox import Call, SandboxLimits, run_program
outcome = run_program("def f(x):\\\\n    return x + 1", [Call("f", (1,))], SandboxLimits())
return f"{outcome.outcomes[0].value} {os.getuid()}"
'''
with tempfile.TemporaryDirectory() as folder:
    bundle = write_bundle(Path(folder), top="import os", respond=RUN)
    with EnvironmentWorker(bundle) as asked:
        print(asked.respond(episodes("a"))[0], asked.confinement.processes_private)
"""

SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.fixture
def place():
    """Return a folder that every user can read, with what a worker needs and nothing else."""
    with ordinary_user.public_folder() as folder:
        rollout = Path(client.__file__).parents[1]
        ordinary_user.link_tree(rollout, folder / "tasks" / "rollout")
        shutil.copy(rollout.parent / "__init__.py", folder / "tasks")
        for file in map(Path, client.importable_modules().values()):
            if file.name != "__init__.py":
                shutil.copy(file, folder)
            elif file.parent.name != "tasks":
                ordinary_user.link_tree(file.parent, folder / file.parent.name)
        (folder / "lineage").mkdir()
        for name in ("__init__.py", "errors.py"):  # all of it that failures need
            shutil.copy(rollout.parents[1] / "lineage" / name, folder / "lineage")
        (folder / "tests" / "support").mkdir(parents=True)
        shutil.copy(SUPPORT / "bundles.py", folder / "tests" / "support")
        yield folder


BOMB = """
import resource, sys, tempfile, time
from pathlib import Path
from tests.support.bundles import episodes, failure, processes_of, write_bundle
from tasks.rollout.worker.limits import WorkerLimits
from tasks.rollout.worker.client import EnvironmentWorker

FORK = "while True: os.fork()"
CHAIN = '''
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork(): os._exit(0)
time.sleep(600)
'''
resource.setrlimit(resource.RLIMIT_NPROC, (4000, 4000))  # of the machine that runs the tests
with tempfile.TemporaryDirectory() as folder:
    for name, grade in {"bomb": FORK, "chain": CHAIN}.items():
        bundle = write_bundle(Path(folder) / name, top="import os, time", grade=grade)
        with EnvironmentWorker(bundle, WorkerLimits(call_seconds=2.0)) as asked:
            failure(asked.grade, episodes("a"))
            print(len(processes_of(folder)) <= 2 * 64 + 1, end=" ")
        print(processes_of(folder), end=" ")
"""


@pytest.fixture
def place_without_scopes(place):
    """Return the folder with a worker that takes the kernel for one before Linux 6.12."""
    confined = place / "tasks" / "rollout" / "worker" / "confine.py"
    source = confined.read_text()
    confined.unlink()  # it may be a hard link to the checkout's
    confined.write_text(source.replace("_SCOPES_VERSION = 3, 6", "_SCOPES_VERSION = 3, 600"))
    assert confined.read_text() != source
    return place


def as_ordinary_user(place, program):
    """Run a program where ``place`` has what it needs; return what it printed."""
    done = ordinary_user.run(
        ["-c", program],
        packages=[str(place)],
        place=place,
        cwd=place,
        python=ordinary_user.readable_python(place),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_worker_and_sandbox_run_beside_200_threads_without_namespaces(place):
    uid = os.geteuid() or ordinary_user.UID
    assert as_ordinary_user(place, PROGRAM) == f"2 {uid} False\n"


@pytest.mark.medium
def test_processes_that_fork_for_ever_are_few_and_ended_without_namespaces(place):
    assert as_ordinary_user(place, BOMB) == "True [] True [] "


def test_without_scopes_a_bundle_signals_only_what_it_started(place_without_scopes):
    program = (SUPPORT / "bundle_that_signals.py").read_text()
    assert json.loads(as_ordinary_user(place_without_scopes, program)) == {
        "the caller": "refused",
        "its supervisor": "refused",
        "its group": "refused",
        "everybody": "refused",
        "a thread of the caller": "refused",
        "itself": "sent",
        "its child": "sent",
        "a program that hangs": "time",
        "took long": False,
    }


@pytest.mark.parametrize(
    ("private", "release", "alone"),
    [
        (True, "5.14.0-generic", True),
        (True, "6.18.44", True),
        (True, "5.13.19", False),
        (True, "unknown", False),
        (False, "6.18.44", False),
    ],
)
def test_processes_are_limited_only_where_the_kernel_counts_the_workers_own(
    monkeypatch, private, release, alone
):
    real = os.uname()
    fake = os.uname_result((real.sysname, real.nodename, release, real.version, real.machine))
    monkeypatch.setattr(os, "uname", lambda: fake)
    assert confine.counts_own_processes(private=private) is alone
