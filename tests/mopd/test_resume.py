"""A run that is killed at any moment goes on to the same bits: weights, ledger, metrics."""

import hashlib
import itertools

import pytest
import torch

from lineage.store.store import FolderStore
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import LedgerSettings
from tasks.ledger.writer import LedgerWriter
from tasks.mopd.objective import Distillation
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import Balance, BalanceSettings, DistilSettings
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.ledger_recorder import LedgerRecorder
from tasks.onpolicy.loop import LoopCallbacks, LoopObservers, train
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.measurements import Measurements
from tasks.platform.resume import JsonPart, RandomNumbers, States
from tests.mopd.test_learning import DOMAINS, SAMPLING, mixture, other_teachers
from tests.support.tiny_models import tiny_policy, tokenizer

STEPS = 7
RUN = "sha256:" + "ab" * 32


class KilledError(Exception):
    """What a test throws in place of kill -9."""


def run(folder, store=None, *, die_at=None, save_every=1, inner_updates=1, outcome=0.0):
    """Distil for a few steps, from the last state if there is one; return all that it leaves."""
    policy, measurements = tiny_policy(0), Measurements("mopd")
    settings = LoopSettings(
        num_steps=STEPS,
        learning_rate=1e-2,
        warmup_steps=2,
        weight_decay=0.01,
        inner_updates=inner_updates,
    )
    objective = Distillation(
        Routing(Route(domain, domain) for domain in DOMAINS),
        ResidentTeachers(other_teachers(), SAMPLING.temperature),
        DistilSettings(outcome_weight=outcome, balance=BalanceSettings(rule=Balance.GAP)),
        settings,
        control_ids=[],
    )
    pad = tokenizer().pad_token_id
    learner = Learner(policy.model, settings, 1.0, pad, objective.sources, record=True)
    told = LedgerSettings(segment_steps=3, rollouts_per_teacher=2)
    writer = LedgerWriter(folder, told, learner.optimizer, seed=5)

    def measure(step, metrics):
        measurements.add(step, metrics)
        if step == die_at:
            raise KilledError

    states = None
    if store is not None:
        # A save is due 20 times as long after it as it took. On a clock that runs a hundred times
        # as far with each look, that is at once; on an even one, after some steps.
        leaps = (100.0**look for look in itertools.count(2))
        clock = leaps.__next__ if save_every == 1 else iter(range(0, 10**9, 45)).__next__
        parts = {
            "learner": learner,
            "ledger": writer,
            "objective": JsonPart(objective.state, objective.load_state),
            "measurements": measurements,
            "random": RandomNumbers(),
        }
        states = States(store, RUN, parts, clock)
    recorder = LedgerRecorder(writer, 5, STEPS)
    source = mixture(policy, seed=3)
    train(
        learner,
        objective,
        source,
        LoopCallbacks(measure, lambda step: None),
        LoopObservers(recorder, states),
    )
    return {
        "weights": {n: t.clone() for n, t in policy.model.state_dict().items()},
        "rows": [row[:4] for row in measurements.rows],  # not when
        "ledger": {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(folder.iterdir())
        },
    }


def assert_same(found, expected):
    assert found["rows"] == expected["rows"]
    assert found["ledger"] == expected["ledger"]
    for name, tensor in expected["weights"].items():
        assert torch.equal(found["weights"][name], tensor), name


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """The folder where the undisturbed run leaves its ledger."""
    return tmp_path_factory.mktemp("undisturbed") / "ledger"


@pytest.fixture(scope="module")
def undisturbed(ledger):
    """What a run without states leaves that nothing interrupts."""
    return run(ledger)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("save_every", "die_at"),
    [
        *((1, step) for step in (1, 3, 4, STEPS)),  # the ledger's segments end with 3 and 6
        *((3, step) for step in (1, 4, STEPS)),
        *(pytest.param(1, step, marks=pytest.mark.slow) for step in (2, 5, 6)),
    ],
)
def test_a_run_killed_at_any_step_ends_in_the_same_bits(tmp_path, undisturbed, die_at, save_every):
    store = FolderStore(tmp_path / "store")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", store, die_at=die_at, save_every=save_every)
    assert_same(run(tmp_path / "resumed", store, save_every=save_every), undisturbed)


@pytest.mark.medium
def test_a_run_killed_again_and_again_ends_in_the_same_bits(tmp_path):
    expected = run(tmp_path / "undisturbed", inner_updates=2)
    store = FolderStore(tmp_path / "store")
    for attempt, die_at in enumerate((2, 2, 5, 6)):
        with pytest.raises(KilledError):
            run(tmp_path / f"killed-{attempt}", store, die_at=die_at, inner_updates=2)
    assert_same(run(tmp_path / "resumed", store, inner_updates=2), expected)


def test_states_do_not_change_what_a_run_comes_to(tmp_path, undisturbed):
    store = FolderStore(tmp_path / "store")
    assert_same(run(tmp_path / "with", store), undisturbed)
    states = [key for key in store.keys("") if "/states/" in key]
    assert len(states) == STEPS - 1  # one after each step but the last


def test_the_ledger_of_a_run_is_complete(ledger, undisturbed):
    start = {n: p.detach().clone() for n, p in tiny_policy(0).model.named_parameters()}
    end = undisturbed["weights"]
    opened = Ledger.open(ledger)
    found = opened.check(start, {name: end[name] for name in start})
    assert found.rounding < 1e-5
    assert found.unexplained < 1e-9
    assert {row.source for row in opened.rows()} == set(DOMAINS)
    kept = list(opened.rollouts())
    assert len(kept) == STEPS * len(DOMAINS) * 2
    assert all(len(k.response) == len(k.advantages[k.teacher]) > 0 for k in kept)


@pytest.mark.usefixtures("undisturbed")
def test_an_update_brings_the_student_nearer_to_its_teacher_on_the_probed_tokens(ledger):
    rows = Ledger.open(ledger).rows()
    # A step against its own gradient; a teacher's may lose to the others' now and then.
    nearer = [row.kl_after < row.kl_before for row in rows if row.step > 2]
    assert sum(nearer) > 0.7 * len(nearer)
