"""A real round in processes of its own: on two ranks, and killed with SIGKILL at any moment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mopd_rounds import Run, faculty_at, planned, told

from lineage.artifacts import Artifact
from lineage.gc import STATES
from lineage.record import Records
from lineage.store import FolderStore

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SETTINGS = told({"reference_weight": 0.1}, {"num_steps": 6, "warmup_steps": 2})


class Place:
    """A home with teachers, and a folder for what a program reads and writes."""

    def __init__(self, source, folder):
        self.folder, self.home = folder, folder / "home"
        folder.mkdir()
        with faculty_at(source, self.home) as bench:
            plan = planned(bench)
        (folder / "plan.json").write_text(plan.model_dump_json())
        (folder / "settings.json").write_text(SETTINGS.model_dump_json())
        self.store = FolderStore(self.home / "store")

    def start(self, *launcher):
        """Start the program; its output goes to a file."""
        path = os.pathsep.join(map(str, (HERE.parents[1], HERE)))
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *launcher, str(HERE / "mopd_program.py"), str(self.folder)],
                env=os.environ | {"PYTHONPATH": path, "PROVOST_HOME": str(self.home)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def finish(self, *launcher):
        """Run the program to its end; return what the round left."""
        assert self.start(*launcher).wait(timeout=300) == 0, (self.folder / "log").read_text()
        return self.run()

    def run(self, rank=0):
        """Return a rank's finished round."""
        run = Run.__new__(Run)
        run.store, run.records = self.store, Records(self.store)
        told = (self.folder / f"student-{rank}.json").read_text()
        run.student = Artifact.model_validate_json(told)
        return run

    def states(self):
        return len(self.store.keys(STATES.rstrip("/")))


@pytest.fixture(scope="module")
def alone(home_with_teachers, tmp_path_factory):
    place = Place(home_with_teachers, tmp_path_factory.mktemp("alone") / "place")
    return place.finish()


def test_two_ranks_make_the_student_that_one_process_makes(home_with_teachers, tmp_path, alone):
    place = Place(home_with_teachers, tmp_path / "place")
    run = place.finish("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    assert run.student.record == alone.student.record
    # Both ranks hand the same student on, and one of them has written it, once.
    assert place.run(rank=1).student == run.student
    for record in run.records.all():
        assert len(run.records.attestations(record)) == 1
    for name, weight in alone.weights().items():
        found = run.weights()[name]
        assert float((found - weight).norm()) <= 1e-4 * float(weight.norm()), name
    assert not torch.equal(
        *[r.weights()["model.embed_tokens.weight"] for r in (run, place_start(place))]
    )
    ours, theirs = run.ledger(), alone.ledger()
    assert ours.manifest.sources == theirs.manifest.sources
    for found, row in zip(ours.rows(), theirs.rows(), strict=True):
        assert (found.step, found.source, found.tokens) == (row.step, row.source, row.tokens)
        assert found.advantage_mean == pytest.approx(row.advantage_mean, rel=1e-3, abs=1e-4)
        assert found.gradient_norm == pytest.approx(row.gradient_norm, rel=1e-3)
    assert [k.ids for k in ours.rollouts()] == [k.ids for k in theirs.rollouts()]


def place_start(place):
    """Return the starting student in the place of a finished round."""
    run = Run.__new__(Run)
    run.store = place.store
    [student] = [i for i in place.run().derivation.inputs if i.role == "student"]
    run.student = Artifact(kind="checkpoint", digest=student.artifact)
    return run


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
    run = place.finish()
    # It went on from where it was: fewer states were put away than a whole run does.
    assert place.states() - began < 5
    assert run.student.record == alone.student.record
    assert run.student.digest == alone.student.digest
    assert run.ledger_digest == alone.ledger_digest
    assert run.metrics() == alone.metrics()
