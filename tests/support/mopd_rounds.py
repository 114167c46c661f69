"""Plans and runs real rounds of the tiny faculty, and reads what they leave behind."""

import json
from contextlib import contextmanager

from safetensors.torch import load_file

from lineage.records.record import Records
from lineage.store.store import open_store
from tasks.gate.plan import make_plan
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import LedgerSettings, ledger_derivation
from tasks.mopd.round import distil_round
from tasks.mopd.settings import DistilSettings, RoundSettings
from tasks.onpolicy.settings import HealthSettings, LoopSettings
from tasks.platform.step_runner import StepRunner
from tasks.rollout.settings import SamplingSettings
from tests.support.mirrors import MemoryMirror
from tests.support.tiny_faculty import copy_home, home_at

BOTH = ("shout@released", "whisper@released")


@contextmanager
def faculty_at(source, target):
    """Yield a runner on a copy of a home; nothing is shown in MLflow, which takes seconds."""
    with home_at(copy_home(source, target)):
        yield StepRunner(open_store(), mirror=MemoryMirror())


def planned(runner, *references, student="fork-point@released"):
    return make_plan(runner, references or BOTH, student)


def told(distil=None, loop=None, **settings):
    """Return settings of a round of three steps of two prompts of each domain."""
    quick = {"num_steps": 3, "learning_rate": 3e-3, "warmup_steps": 0}
    return RoundSettings(
        loop=LoopSettings(**quick | (loop or {})),
        distil=DistilSettings(**distil or {}),
        ledger=LedgerSettings(segment_steps=2, rollouts_per_teacher=4),
        # A model of noise is nearly uniform from the start.
        health=HealthSettings(student_collapse="warn"),
        **{"prompts_per_domain": 2, "sampling": SamplingSettings(max_new_tokens=4)} | settings,
    )


class Run:
    """A finished round."""

    def __init__(self, runner, plan, settings, seed=0):
        self.store, self.records = runner.store, Records(runner.store)
        self.student = distil_round(runner, plan, settings, seed)

    @property
    def derivation(self):
        return self.records.read(self.student.record)

    def inputs(self, role):
        """Return the digests of the inputs in a role, by name."""
        return {item.name: item.artifact for item in self.derivation.inputs if item.role == role}

    def weights(self):
        return load_file(self.store.tree(self.student.digest) / "model.safetensors")

    def metrics(self):
        """Return the values of each metric, by name, in the order of steps."""
        found = {}
        done = self.records.output(self.student.record)
        for line in self.store.get_bytes(done.metrics).decode().splitlines():
            row = json.loads(line)
            found.setdefault(row["name"], []).append(row["value"])
        return found

    def notes(self):
        return self.records.output(self.student.record).notes

    @property
    def ledger_digest(self):
        return self.records.output(ledger_derivation(self.derivation).digest()).output

    def ledger(self):
        return Ledger.open(self.store.tree(self.ledger_digest))
