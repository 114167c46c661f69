"""Homes to break: a fork point and released teachers, and a consolidation of them; or a recipe.

A home of tiny teams is made in seconds, that of the demo in a quarter of an hour. Either is made
once for a commit, beside the system's other temporary files, and copied for each trial.
"""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from benchmarks.common.checkout import ROOT
from benchmarks.faults.rows import commit
from lineage.artifacts import Student, read_manifest
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.scratch import remove
from lineage.store.store import Store
from tasks.evaluate.recipe_card import CARD

_LIMIT_SECONDS = 1800


@dataclass(frozen=True)
class Job:
    """A command that is run, and what it needs and leaves."""

    name: str
    student: str
    """Name of the student that a consolidation leaves; "" for a recipe, which leaves records."""
    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    """Commands that make the teachers; the tiny teams' are made without a command."""


SMOKE = Job(
    "smoke",
    "student.smoke@latest",
    ("run", "consolidation", "--preset", "smoke", "--teachers", "shout@released,whisper@released"),
)
DEMO = Job(
    "demo",
    "student.general@latest",
    ("run", "consolidation"),
    (
        ("run", "foundation"),
        *(("run", "teacher", team) for team in ("math", "code", "agent", "instruct")),
    ),
)


def recipe(system: str) -> Job:
    """Return the job that runs a recipe at the scale micro, its base included."""
    return Job(system, "", ("run", "recipe", system, "--scale", "micro"))


def home_with_teachers(job: Job) -> Path:
    """Return the home in which a job starts; a recipe starts in an empty one."""
    return once(f"{job.name}-teachers", lambda home: make_teachers(job, home))


@cache
def undisturbed(job: Job) -> tuple[Path, float]:
    """Return the home in which a job has ended, and how long it took in seconds."""
    seconds = f"{job.name}.seconds"

    def make(home: Path) -> None:
        shutil.copytree(home_with_teachers(job), home, symlinks=True)
        begun = time.monotonic()
        if failed := Run(job, home).finish():
            raise RuntimeError(failed)
        home.with_name(seconds).write_text(str(time.monotonic() - begun))

    home = once(job.name, make)
    return home, float(home.with_name(seconds).read_text())


def student_in(job: Job, store: Store) -> str:
    """Return the digest of the checkpoint that a consolidation left in a store."""
    entry = Registry(store).resolve(job.student)
    return read_manifest(store, entry.digest, Student).checkpoint.digest


def made_in(job: Job, store: Store) -> str | dict[str, str]:
    """Return what a job left in a store: the student's checkpoint, or every output of a recipe.

    A recipe's card states processor time, so it differs from run to run and is left out.
    """
    if job.student:
        return student_in(job, store)
    records = Records(store)
    attested = {record: records.output(record) for record in records.all()}
    return {
        record: found.output
        for record, found in attested.items()
        if found is not None and found.output_kind != CARD
    }


class Run:
    """A consolidation in a process group of its own, which may be killed."""

    def __init__(self, job: Job, home: Path, variables: Mapping[str, str] | None = None) -> None:
        self.errors = home.with_name(f"{home.name}.errors")
        """What the run has printed."""
        self._process: ForkServerProcess = _server().Process(
            target=_main,
            args=(job.words, {"PROVOST_HOME": str(home), **(variables or {})}, str(self.errors)),
        )
        self._process.start()

    def kill(self, signal_number: int) -> None:
        """End the process and all that it started."""
        pid = self._process.pid
        assert pid is not None
        try:
            os.killpg(pid, signal_number)
        except ProcessLookupError:  # it has not made its group yet, or has ended
            self._process.kill()
        self._process.join()

    def finish(self) -> str:
        """Wait for the end; return the last words of a run that failed, else ""."""
        self._process.join(_LIMIT_SECONDS)
        if self._process.exitcode == 0:
            return ""
        return f"exit {self._process.exitcode}: {self.errors.read_text(errors='replace')[-500:]}"


@cache
def _server() -> multiprocessing.context.ForkServerContext:
    """Return the process from which runs are forked: they need not import torch and Flyte anew."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["workflows.cli", "workflows.consolidation.workflow"])
    os.environ.update(environment())
    for name in _DROPPED:
        os.environ.pop(name, None)
    return context


def _main(words: tuple[str, ...], variables: dict[str, str], errors: str) -> None:
    os.setsid()
    os.environ.update(variables)
    descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from workflows.cli import main  # noqa: PLC0415 (the server has imported it)

    main(list(words))


_DROPPED = ("PROVOST_STORE", "MLFLOW_TRACKING_URI")


def environment() -> dict[str, str]:
    """Return the variables of a process that works in a home, but for the home."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return kept | offline | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}


def once(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that is made once for a commit."""
    folder = Path(tempfile.gettempdir(), f"provost-faults-{commit()[:12]}")
    folder.mkdir(exist_ok=True)
    home, ready = folder / name, folder / f"{name}.ready"
    if not ready.exists():
        remove(home)
        make(home)
        ready.touch()
    return home


def make_teachers(job: Job, home: Path, variables: Mapping[str, str] | None = None) -> None:
    """Make the fork point and the released teachers from which a job starts, if it needs any."""
    home.mkdir(exist_ok=True)
    for words in job.before:
        code = f"from workflows.cli import main; main({list(words)!r})"
        run_python(code, home, variables)
    if job.student and not job.before:
        teams = str(home.with_name(f"{home.name}-teams"))
        code = (
            "from tests.support import tiny_faculty as tiny\n"
            f"for team in tiny.TEAMS: tiny.write_team({teams!r}, team)\n"
            f"with tiny.importable({teams!r}):\n"
            "    tiny.make_fork_point()\n"
            "    for team in tiny.TEAMS: tiny.climb(f'{tiny.PACKAGE}.{team}')\n"
        )
        run_python(code, home, variables)


def run_python(code: str, home: Path, variables: Mapping[str, str] | None = None) -> None:
    """Run code in a process of a home."""
    variables = environment() | {"PROVOST_HOME": str(home), **(variables or {})}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=variables, check=True)
