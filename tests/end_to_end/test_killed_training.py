"""Supervised training that is ended by kill -9 several times: the last run ends in the same bits.

The SFT has the demo's sizes: its model, a team's demonstrations and settings.
"""

import multiprocessing
import os
import random
import signal
import time

import pytest

from lineage.artifacts import Artifact
from lineage.store.scratch import remove
from lineage.store.store import FolderStore, open_store
from tasks.contracts.handover import Remedy, StageLabel
from tasks.contracts.remedies import WarmUpSettings
from tasks.gate.gate import leave_unmeasured
from tasks.gate.plan import make_plan
from tasks.model.files import Policy, save_policy
from tasks.model.settings import ScratchSettings
from tasks.platform.step_runner import StepRunner
from tasks.rollout.prompts import write_demonstrations
from tasks.rollout.settings import SamplingSettings
from tasks.sft.scratch import make_model, make_tokenizer
from tasks.sft.steps import finetune
from tasks.sft.warm_up import warm_up_student
from tests.support.mirrors import MemoryMirror
from tests.support.states import save_states_often
from tests.support.tiny_faculty import copy_home
from workflows.teachers.math.prompts import demonstrations
from workflows.teachers.math.settings import DOMAIN, SFT

pytestmark = pytest.mark.slow
KILLS = 3
LABEL = StageLabel(name="math sft", owner="team-math")


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Have states saved every second instead of every two minutes."""
    save_states_often(monkeypatch.setattr, seconds=1.0)


class Child:
    """Work in a fork of this process, where everything is imported already."""

    def __init__(self, work):
        context = multiprocessing.get_context("fork")
        self._hears, says = context.Pipe(duplex=False)
        self._process = context.Process(target=lambda: says.send(work().digest))
        self._process.start()
        says.close()

    def finish(self):
        digest = self._hears.recv()
        self._process.join()
        return digest

    def kill_after_states(self, store, number):
        """Send SIGKILL at some moment after ``number`` more states were saved."""
        wanted = len(states(store)) + number
        while len(states(store)) < wanted:
            assert self._process.is_alive(), "it ended before it was killed"
            time.sleep(0.05)
        time.sleep(random.Random(wanted).random())
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()
        assert self._process.exitcode == -signal.SIGKILL


def states(store):
    return store.keys("projects/local/states")


def check_killed(work, store):
    """Kill the work again and again; return the digest that the last run ends with."""
    for _ in range(KILLS):
        Child(work).kill_after_states(store, 1)
    assert len(states(store)) >= KILLS
    return Child(work).finish()


@pytest.fixture
def given(tmp_path):
    """Return a function that puts a model of the demo's size and a team's rows into a store."""
    rows = list(demonstrations(DOMAIN.num_demonstrations, 0))
    texts = [turn.content for row in rows for turn in (*row.messages, *row.turns)]
    tokenizer = make_tokenizer(texts, ScratchSettings().vocabulary_size)
    model = make_model(tokenizer, ScratchSettings(), seed=0)
    save_policy(Policy(model, tokenizer), tmp_path / "start")
    write_demonstrations(tmp_path / "rows.jsonl", rows)

    def put(store):
        start = Artifact(kind="checkpoint", digest=store.put_tree(tmp_path / "start"))
        return start, [Artifact(kind="dataset", digest=store.put_file(tmp_path / "rows.jsonl"))]

    return put


def test_a_killed_sft_of_the_demos_size_ends_in_the_same_bits(given, tmp_path):
    def tuning(store):
        start, data = given(store)
        runner = StepRunner(store, mirror=MemoryMirror())
        return lambda: finetune(runner, start, data, SFT, 0, LABEL)

    expected = Child(tuning(FolderStore(tmp_path / "undisturbed"))).finish()
    store = FolderStore(tmp_path / "killed")
    assert check_killed(tuning(store), store) == expected


def test_a_killed_warm_up_ends_in_the_same_bits(home, home_with_teachers, teams_on_path):
    settings = WarmUpSettings(
        prompts_per_teacher=8, steps_per_teacher=400, most_cycles=1, warmup_steps=0
    )

    def warming():
        runner = StepRunner(open_store(), mirror=MemoryMirror())
        plan = make_plan(runner, ["shout@1", "whisper@1"], "fork-point@released")
        gated = leave_unmeasured(runner, plan)
        done = [each.model_copy(update={"done": Remedy.WARM_UP}) for each in gated.teachers]
        gated = gated.model_copy(update={"teachers": done})
        return lambda: warm_up_student(runner, gated, settings, SamplingSettings(), 0).student

    copy_home(home_with_teachers, home)
    expected = Child(warming()).finish()
    remove(home)  # the same place: a release names the address of its store
    copy_home(home_with_teachers, home)
    assert check_killed(warming(), open_store()) == expected
