"""A supervised run that is killed at any step goes on to the same bits: weights and log."""

import multiprocessing
import os
import signal

import pytest
import torch

from lineage.artifacts import Artifact
from lineage.store.store import FolderStore
from tasks.contracts.handover import StageLabel
from tasks.model.files import Policy, load_policy, save_policy
from tasks.platform.attempt import InterruptedAttemptError, watched_attempt
from tasks.platform.measurements import Measurements, measured_here
from tasks.platform.resume import States
from tasks.platform.step_runner import StepRunner
from tasks.rollout.environment import Demonstration, Message, Turn
from tasks.rollout.prompts import write_demonstrations
from tasks.sft.settings import BaseSettings, SftSettings
from tasks.sft.steps import finetune, make_base
from tasks.sft.train import supervise
from tasks.supervised.training import Watch
from tests.sft.test_train import ROWS
from tests.support.mirrors import MemoryMirror
from tests.support.tiny_models import SIZES, tiny_model, tiny_policy, tokenizer

pytestmark = pytest.mark.medium

STEPS = 13
"""The tenth is logged. 16 rows in fours: every fourth step ends an epoch."""
RUN = "sha256:" + "cd" * 32


class KilledError(Exception):
    """What a test throws in place of kill -9."""


class Killed:
    """States of a run, saved every few steps, that ends right after step ``die_at``."""

    def __init__(self, states, save_every, die_at, kill):
        self._states, self._save_every = states, save_every
        self._die_at, self._kill = die_at, kill

    def restore(self):
        return self._states.restore()

    def save_if_due(self, step):
        if step % self._save_every == 0:
            self._states.save(step)
        if step == self._die_at:
            self._kill()


def throw():
    raise KilledError


def with_dropout():
    """Return a tiny model in which each step draws random numbers."""
    model = tiny_model()
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.3
    return model


def run(scratch, store=None, *, muon=False, die_at=None, kill=throw, save_every=1):
    """Train from the last state if there is one; return the weights and all that was logged."""
    model, measurements = with_dropout(), Measurements("sft")
    settings = SftSettings(
        num_steps=STEPS, batch_size=4, learning_rate=1e-2, warmup_steps=3, muon=muon
    )

    def states(trainer):
        parts = {"trainer": trainer, "measurements": measurements}
        return Killed(States(store, RUN, parts), save_every, die_at, kill)

    watch = Watch(measurements.add, states if store else None)
    supervise(Policy(model, tokenizer()), ROWS, settings, 3, scratch, watch)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return weights, [row[:3] for row in measurements.rows]


def assert_same(found, expected):
    (weights, rows), (expected_weights, expected_rows) = found, expected
    assert rows == expected_rows
    for name, tensor in expected_weights.items():
        assert torch.equal(weights[name], tensor), name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a run without states comes to that nothing interrupts, without and with Muon."""
    found = {muon: run(tmp_path_factory.mktemp("sft"), muon=muon) for muon in (False, True)}
    assert all({row[0] for row in rows} == {10} for _, rows in found.values())
    assert not torch.equal(*(weights["lm_head.weight"] for weights, _ in found.values()))
    return found


@pytest.mark.parametrize(
    ("die_at", "save_every", "muon"),
    [
        pytest.param(1, 1, False, marks=pytest.mark.slow),
        pytest.param(4, 1, False, marks=pytest.mark.slow),  # an epoch's last step
        pytest.param(10, 1, True, marks=pytest.mark.slow),  # the logged step
        pytest.param(STEPS - 1, 1, False, marks=pytest.mark.slow),
        pytest.param(8, 3, False, marks=pytest.mark.slow),
        pytest.param(2, 3, True, marks=pytest.mark.slow),  # before any state
        (8, 3, True),
    ],
)
def test_a_run_killed_at_any_step_ends_in_the_same_bits(
    tmp_path, undisturbed, die_at, save_every, muon
):
    store = FolderStore(tmp_path / "store")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", store, muon=muon, die_at=die_at, save_every=save_every)
    resumed = run(tmp_path / "resumed", store, muon=muon, save_every=save_every)
    assert_same(resumed, undisturbed[muon])


@pytest.mark.parametrize("muon", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_process_killed_again_and_again_ends_in_the_same_bits(tmp_path, undisturbed, muon):
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    store = FolderStore(tmp_path / "store")
    for step in (4, 11):  # the first ends an epoch
        child = multiprocessing.get_context("fork").Process(
            target=run,
            args=(tmp_path / f"killed at {step}", store),
            kwargs={"muon": muon, "die_at": step, "kill": die},
        )
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert len(store.keys("projects/local/states")) == step  # no step was made twice
    assert_same(run(tmp_path / "resumed", store, muon=muon), undisturbed[muon])


# --- the steps, stopped as a spot node stops them ------------------------------------------------

SETTINGS = SftSettings(num_steps=14, batch_size=4, learning_rate=1e-2, warmup_steps=0, muon=True)
STAGE = StageLabel(name="math sft", owner="team-math")


@pytest.fixture
def start_and_data(tmp_path):
    """What the steps start from, in a store of this test."""

    def put(store):
        rows = [
            Demonstration((Message("user", f"{n}+{n}"),), (Turn("assistant", str(2 * n)),))
            for n in range(10, 30)
        ]
        folder = tmp_path / "given"
        folder.mkdir(exist_ok=True)
        write_demonstrations(folder / "rows.jsonl", rows)
        start = store.put_tree(save_policy(tiny_policy(0), folder / "start"))
        data = store.put_file(folder / "rows.jsonl")
        return Artifact(kind="checkpoint", digest=start), [Artifact(kind="dataset", digest=data)]

    return put


def base(runner, start, data):
    settings = BaseSettings(scratch=SIZES, num_documents=60, row_tokens=16, training=SETTINGS)
    return make_base(runner, "", data, settings, 0)


def tuned(runner, start, data):
    return finetune(runner, start, data, SETTINGS, 0, STAGE)


def made(make, store, start_and_data, stop_at=None):
    """Make it in this store; SIGTERM comes as step ``stop_at`` is logged."""
    runner, logged = StepRunner(store, mirror=MemoryMirror()), []

    def listen(samples):
        logged.append(samples[0].step)
        if samples[0].step == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    with measured_here(listen), watched_attempt("sft", None):
        artifact = make(runner, *start_and_data(store))
    return artifact, logged


@pytest.mark.parametrize("make", [base, tuned])
def test_a_step_stopped_by_a_signal_goes_on_from_where_it_was(tmp_path, start_and_data, make):
    expected, logged = made(make, FolderStore(tmp_path / "undisturbed"), start_and_data)
    assert logged == [10]
    store = FolderStore(tmp_path / "store")
    with pytest.raises(InterruptedAttemptError):
        made(make, store, start_and_data, stop_at=10)
    (state,) = store.keys("projects/local/states")
    assert state
    found, logged = made(make, store, start_and_data)
    assert logged == [10]  # it is told again from the state
    assert found.digest == expected.digest
    assert found.record == expected.record
    assert load_policy(store.tree(found.digest)).model.config.hidden_size == SIZES.hidden_size
