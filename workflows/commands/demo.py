"""``provost demo``: the main job. Finished stages are found in the store; the others run."""

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import psutil

from lineage.errors import LineageError, RecalledError
from lineage.registry.registry import Registry
from lineage.store.store import home, open_store
from lineage.view.summary import summary_of
from tasks.evaluate.scorecard import Scorecard
from tasks.evaluate.wording import scorecard_view
from tasks.platform.resources import configured_threads
from tasks.platform.step_runner import Missing, find_finished
from workflows.commands.faculty import team_module
from workflows.commands.local import quiet
from workflows.commands.models import conclude
from workflows.commands.output import as_json, complain, draw, say
from workflows.consolidation.workflow import consolidate
from workflows.foundation import foundation
from workflows.process import Job, exit_code, run_side_by_side
from workflows.progress import progress_on

TEAMS = ("math", "code", "agent", "instruct")
_IDLE_CORES = 0.25
"""What an idle machine uses: a desktop, a monitor."""
_LOOK_SECONDS = 1.0
_SPINS = "300000"
"""What libgomp takes where no wait policy is set; it outweighs the policy PASSIVE."""


@click.command()
@click.option("--seed", default=0, show_default=True, help="Random seed of the whole job.")
@click.option(
    "--processes",
    default=lambda: min(len(TEAMS), os.cpu_count() or 1),
    type=click.IntRange(min=1),
    show_default="one for each core",
    help="Number of teams that climb at a time.",
)
@as_json
def demo(seed: int, processes: int, as_document: bool) -> None:
    """Train four teachers from one fork point, and merge them in one consolidation."""
    quiet()
    started = time.monotonic()
    folder = home() / "demo"
    open_store().ensure_writable()  # before a step says so in the words of its wrapper
    _Stages(seed, processes, folder / "logs").run()
    student = _show(seed, folder, as_document)
    summary = summary_of(open_store(), student, time.monotonic() - started)
    copied = {"report": str(folder / "report.html"), "next": [*summary.next, "make ui"]}
    conclude(summary.model_copy(update=copied), as_document)


def free_cores(most: int, in_use: float) -> int:
    """Return how many of ``most`` cores a stage may take beside what other programs use.

    Two threads that wait for each other are faster than one where nothing else runs, and slower
    beside a single busy process (``benchmarks/results/threads.json``).
    """
    return max(1, most - math.ceil(max(in_use - _IDLE_CORES, 0.0)))


def variables_of(threads: int) -> dict[str, str]:
    """Return the environment of a stage: its threads, and how they wait for each other.

    Several threads run where cores are free, so there they may spin, as libgomp does by default.
    There two threads are 1.7 times as fast as one, and without spinning 1.2 times
    (``benchmarks/results/threads.json``). Where the user sets GOMP_SPINCOUNT, that holds.
    """
    spins = os.environ.get("GOMP_SPINCOUNT", _SPINS)
    spinning = {"GOMP_SPINCOUNT": spins} if threads > 1 else {}
    return {"PROVOST_THREADS": str(threads), **spinning}


def cores_in_use() -> float:
    """Return how many cores all programs of this machine use, over a second."""
    return psutil.cpu_percent(interval=_LOOK_SECONDS) / 100 * (psutil.cpu_count() or 1)


class _Stages:
    """The three stages of the job; each is skipped where its output is found."""

    def __init__(self, seed: int, processes: int, logs: Path) -> None:
        self._seed, self._processes, self._logs = seed, processes, logs

    def run(self) -> None:
        """Run what is not finished: the foundation, the teams side by side, the consolidation."""
        self._side_by_side({"foundation": self._run_foundation})
        self._side_by_side({team: self._run_team(team) for team in TEAMS})
        self._side_by_side({"consolidation": self._run_consolidation})

    def _side_by_side(self, stages: dict[str, Callable[[], object]]) -> None:
        missing = [name for name, run in stages.items() if not _is_finished(name, run)]
        if not missing:
            say(f"{', '.join(stages)}: found finished in the store", err=True)
            return
        threads = variables_of(self._threads() if len(stages) == 1 else 1)
        jobs = [Job(name, self._command(name), threads) for name in missing]
        with progress_on(sys.stderr) as show:
            outcomes = run_side_by_side(jobs, self._processes, show, logs=self._logs)
        if exit_code(outcomes):
            for outcome in outcomes:
                complain(outcome.describe())
            raise SystemExit(exit_code(outcomes))

    def _threads(self) -> int:
        """Return the threads of a stage that runs alone: as the user says, or the free cores."""
        return configured_threads() or free_cores(self._processes, cores_in_use())

    def _command(self, name: str) -> tuple[str, ...]:
        what = ("teacher", name) if name in TEAMS else (name,)
        program = "from workflows.cli import main; main()"
        return (sys.executable, "-c", program, "run", *what, "--seed", str(self._seed))

    def _run_foundation(self) -> object:
        return foundation(seed=self._seed)

    def _run_team(self, team: str) -> Callable[[], object]:
        return lambda: team_module(team).climb(seed=self._seed)

    def _run_consolidation(self) -> object:
        return consolidate(seed=self._seed)


def _is_finished(name: str, run: Callable[[], object]) -> bool:
    """Return whether a stage's output is found in the store.

    A team whose teacher was recalled is done if it has released another version since.
    """
    try:
        return not isinstance(find_finished(run), Missing)
    except RecalledError as error:
        why = str(error).rpartition("\n")[2].strip()
        if name not in TEAMS:
            raise click.ClickException(why) from error
        try:
            entry = Registry(open_store()).resolve(f"{name}@released")
        except LineageError:
            raise click.ClickException(
                f"{why}. Nothing else of {name} is released: `provost run teacher {name} "
                "--seed 1` climbs anew; then run `provost demo` again"
            ) from error
        complain(f"{why}. {name}@{entry.version} is released, and takes its place")
        return True


def _show(seed: int, folder: Path, as_document: bool) -> str:
    """Copy the report out of the store, print the scorecard; return the student's digest."""
    made = consolidate(seed=seed)
    report = open_store().tree(made.report.digest)
    for file in sorted(report.iterdir()):
        shutil.copyfile(file, folder / file.name)
    document = json.loads((folder / "scorecard.json").read_text("utf-8"))
    if not as_document:
        draw(scorecard_view(Scorecard.from_document(document)))
    return made.student.digest
