"""A real round in processes of its own: on several ranks, and killed with SIGKILL at any moment."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lineage.artifacts import Artifact, Rung
from lineage.operations.gc import STATES
from lineage.records.record import Records
from lineage.store.store import FolderStore
from tasks.mopd.settings import TeacherPlacement
from tasks.onpolicy.settings import LoopSettings
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tests.support.climbs import climbed_from
from tests.support.mopd_rounds import Run, faculty_at, planned, told

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "support"
SETTINGS = told({"reference_weight": 0.1}, {"num_steps": 6, "warmup_steps": 2})


def launcher(num_ranks):
    """Return the arguments that start a program on so many ranks."""
    return ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_ranks}")


class Place:
    """A home with teachers, and a folder for what a program reads and writes."""

    program = "mopd_program.py"

    def __init__(self, source, folder):
        self.folder, self.home = folder, folder / "home"
        folder.mkdir()
        with faculty_at(source, self.home) as runner:
            self.prepare(runner)
        self.store = FolderStore(self.home / "store")

    def prepare(self, runner):
        """Write what the program is told."""
        self.tell(plan=planned(runner), settings=SETTINGS)

    def tell(self, **models):
        for name, model in models.items():
            (self.folder / f"{name}.json").write_text(model.model_dump_json())

    def start(self, *launcher):
        """Start the program; its output goes to a file."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *launcher, str(PROGRAMS / self.program), str(self.folder)],
                env=os.environ | {"PYTHONPATH": str(ROOT), "PROVOST_HOME": str(self.home)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def finish(self, *launcher):
        """Run the program to its end."""
        assert self.start(*launcher).wait(timeout=300) == 0, (self.folder / "log").read_text()
        return self

    def run(self, rank=0):
        """Return a rank's finished round."""
        told = (self.folder / f"student-{rank}.json").read_text()
        return of_student(self.store, Artifact.model_validate_json(told))

    def states(self):
        return len(self.store.keys(f"projects/local/{STATES}"))


class Slope(Place):
    """The same for a climb, of the first team's teacher anew."""

    program = "climb_program.py"

    def prepare(self, runner):
        start, domain = climbed_from(runner.store, "shout")
        settings = RlSettings(
            loop=LoopSettings(num_steps=3, learning_rate=3e-3, warmup_steps=0, rung_every=2),
            sampling=SamplingSettings(max_new_tokens=4),
            prompts_per_step=3,
            rollouts_per_prompt=4,
        )
        self.tell(start=start, domain=domain, settings=settings)

    def ladder(self, rank=0):
        """Return each rung of a rank as a run."""
        told = json.loads((self.folder / f"ladder-{rank}.json").read_text())
        rungs = [Rung.model_validate(rung) for rung in told]
        return [of_student(self.store, rung.checkpoint) for rung in rungs]


def of_student(store, student):
    """Return the finished run of a checkpoint."""
    run = Run.__new__(Run)
    run.store, run.records, run.student = store, Records(store), student
    return run


def start_of(run, role):
    """Return what a run started from, as if it were one."""
    [start] = [item for item in run.derivation.inputs if item.role == role]
    return of_student(run.store, Artifact(kind="checkpoint", digest=start.artifact))


def assert_same_change(run, expected, role, *, same_settings=True):
    """Compare what two runs made of their start, relative to how far each weight has moved."""
    assert (run.student.record == expected.student.record) is same_settings
    start, ours, theirs = (r.weights() for r in (start_of(run, role), run, expected))
    for name, before in start.items():
        moved = float((theirs[name] - before).norm())
        assert moved > 0
        assert float((ours[name] - theirs[name]).norm()) <= 0.01 * moved, name
    for record in run.records.all():
        assert len(run.records.attestations(record)) == 1  # by the first rank, once


@pytest.fixture(scope="module")
def alone(home_with_teachers, tmp_path_factory):
    place = Place(home_with_teachers, tmp_path_factory.mktemp("alone") / "place")
    return place.finish().run()


@pytest.mark.parametrize(("num_ranks", "placement"), [(2, "disk"), (2, "sharded"), (4, "sharded")])
def test_ranks_make_the_student_that_one_process_makes(
    home_with_teachers, tmp_path, alone, num_ranks, placement
):
    place = Place(home_with_teachers, tmp_path / "place")
    place.tell(settings=SETTINGS.model_copy(update={"placement": TeacherPlacement(placement)}))
    place.finish(*launcher(num_ranks))
    run = place.run()
    assert_same_change(run, alone, "student", same_settings=placement == "disk")
    assert {place.run(rank).student for rank in range(num_ranks)} == {run.student}
    ours, theirs = run.ledger(), alone.ledger()
    assert ours.manifest.sources == theirs.manifest.sources
    for found, row in zip(ours.rows(), theirs.rows(), strict=True):
        assert (found.step, found.source, found.tokens) == (row.step, row.source, row.tokens)
        assert found.advantage_mean == pytest.approx(row.advantage_mean, rel=1e-3, abs=1e-4)
        assert found.gradient_norm == pytest.approx(row.gradient_norm, rel=1e-3)
    assert [k.ids for k in ours.rollouts()] == [k.ids for k in theirs.rollouts()]


def test_two_ranks_climb_as_one_process_does(home_with_teachers, tmp_path):
    alone = Slope(home_with_teachers, tmp_path / "alone").finish()
    ranks = Slope(home_with_teachers, tmp_path / "ranks").finish(*launcher(2))
    assert [run.student for run in ranks.ladder(1)] == [run.student for run in ranks.ladder(0)]
    for run, expected in zip(ranks.ladder(), alone.ladder(), strict=True):
        assert_same_change(run, expected, "start")


def test_a_round_that_is_killed_again_and_again_ends_in_the_same_bits(
    home_with_teachers, tmp_path, alone
):
    place = Place(home_with_teachers, tmp_path / "place")
    for wanted in (1, 3):
        child = place.start()
        deadline = time.monotonic() + 120
        while place.states() < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "it ended before it was killed"
    began = place.states()
    assert began >= 3
    run = place.finish().run()
    # It went on from where it was: fewer states were put away than a whole run does.
    assert place.states() - began < 5
    assert run.student.record == alone.student.record
    assert run.student.digest == alone.student.digest
    assert run.ledger_digest == alone.ledger_digest
    assert run.metrics() == alone.metrics()
