"""Rollouts that servers sample one step ahead: what they are, when they begin, and resumption."""

import itertools
import threading
from dataclasses import replace

import pytest
import torch

from lineage.store.store import FolderStore
from tasks.mopd.objective import Distillation
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings, RoundSettings
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.distributed.ahead import AheadDraws, AheadStage, player_of_run
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.loop import LoopCallbacks, LoopObservers, train
from tasks.onpolicy.run_monitor import RunMonitor
from tasks.onpolicy.settings import Correction, HealthSettings, ImportanceMask, LoopSettings
from tasks.platform.resume import RandomNumbers, States
from tasks.rl.settings import RlSettings
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.domains import DomainShare, Mixture, make_player
from tasks.rollout.environment import Message, Prompt
from tasks.rollout.sampling.vllm.client import VllmError
from tasks.rollout.settings import SamplingSettings, VllmServer
from tests.mopd.test_learning import DOMAINS, Silent, other_teachers
from tests.onpolicy.test_loop import Likelihood, learner_of
from tests.support.refused import invalid, raised
from tests.support.tiny_models import rollout, tiny_model, tiny_policy, tokenizer
from tests.support.vllm_stand_in import NAME, StandIn, serving

STEPS = 4
RUN = "sha256:" + "cd" * 32
SERVER = VllmServer(url="http://127.0.0.1:1", served_model=NAME, weights_folder="/dev/shm/weights")


class KilledError(Exception):
    """What a test throws in place of kill -9."""


@pytest.fixture
def stand_in():
    """Return a server that does all well."""
    return StandIn()


@pytest.fixture
def sampling(stand_in, tmp_path):
    """Return settings that sample with it."""
    with serving(stand_in) as url:
        where = {"url": url, "weights_folder": str(tmp_path / "weights"), "timeout_seconds": 20.0}
        server = SERVER.model_copy(update=where)
        yield SamplingSettings(max_new_tokens=4, engine="vllm", vllm=server)


class Watched:
    """The objective of a run, which is called when an update begins."""

    def __init__(self, run):
        self.run = run

    def __getattr__(self, name):
        return getattr(self.run.objective, name)

    def score(self, rollouts):
        self.run.at_update(len(self.run.seen))
        return self.run.objective.score(rollouts)


class Run:
    """A run of MOPD on the toy's two domains, sampled by a server."""

    def __init__(self, sampling, *, staleness, rate=1e-2, at_update=lambda step: None):
        self.policy, self.metrics, self.seen = tiny_policy(0), [], []
        self.settings = LoopSettings(
            num_steps=STEPS, learning_rate=rate, warmup_steps=0, staleness=staleness
        )
        alone = make_player(
            {domain: LocalEnvironment(Silent()) for domain in DOMAINS}, self.policy, sampling
        )
        shares = [
            DomainShare(
                domain, [Prompt(f"{n}", (Message("user", f"{domain} {n}"),)) for n in (1, 2)], 2
            )
            for domain in DOMAINS
        ]
        player = player_of_run(alone, self.policy.model, sampling, staleness)
        self.mixture = Mixture(player, shares, 1, seed=3)
        self.ahead = AheadDraws([AheadStage(1, self.mixture, player)]) if staleness else None
        self.source = self.ahead or self.mixture
        self.objective = Distillation(
            Routing(Route(domain, domain) for domain in DOMAINS),
            ResidentTeachers(other_teachers(), 1.0),
            DistilSettings(),
            self.settings,
            control_ids=[],
        )
        self.learner = Learner(
            self.policy.model, self.settings, 1.0, tokenizer().pad_token_id, self.objective.sources
        )
        self.at_update = at_update

    def rollouts(self, step):
        self.seen.append(self.source.rollouts(step))
        return self.seen[-1]

    def go(self, store=None, *, die_at=None, ahead=True):
        """Train, from the last state if there is one; return the run."""

        def measure(step, metrics):
            self.metrics.append((step, dict(metrics)))
            if step == die_at:
                raise KilledError

        parts = {"learner": self.learner, "random": RandomNumbers()}
        if self.ahead is not None:
            parts["ahead"] = self.ahead
        leaps = (100.0**look for look in itertools.count(2))  # a state is due at every look
        states = States(store, RUN, parts, leaps.__next__) if store is not None else None
        begins = self.ahead if ahead else None
        observers = LoopObservers(checkpoints=states, ahead=begins)
        train(self.learner, Watched(self), self, LoopCallbacks(measure, lambda _: None), observers)
        return self

    @property
    def weights(self):
        return {name: t.clone() for name, t in self.policy.model.state_dict().items()}


def assert_same(found, expected):
    assert found.seen[-1] == expected.seen[-1]
    assert found.metrics == expected.metrics[-len(found.metrics) :]
    for name, weight in expected.weights.items():
        assert torch.equal(found.weights[name], weight), name


@pytest.mark.medium
def test_each_step_learns_from_rollouts_of_the_policy_one_update_before(sampling):
    run = Run(sampling, staleness=1).go()

    by_hand = Run(sampling, staleness=0)
    learner, objective = by_hand.learner, by_hand.objective
    batch = by_hand.mixture.rollouts(1)
    for step in range(1, STEPS + 1):
        following = by_hand.mixture.rollouts(step + 1)  # by the policy before this update
        assert [one.ids for one in run.seen[step - 1]] == [one.ids for one in batch]
        stale = [replace(one, staleness=min(1, step - 1)) for one in batch]
        assert run.seen[step - 1] == stale
        learner.update(objective, objective.score(stale), step)
        batch = following
    for name, weight in by_hand.weights.items():
        assert torch.equal(run.weights[name], weight), name
    assert [metrics["staleness"] for _, metrics in run.metrics] == [0.0, 1.0, 1.0, 1.0]


@pytest.mark.medium
def test_what_begins_no_step_ahead_gives_the_synchronous_bits(sampling):
    waiting = Run(sampling, staleness=1).go(ahead=False)
    assert_same(waiting, Run(sampling, staleness=0).go())
    assert {one.staleness for step in waiting.seen for one in step} == {0}


@pytest.mark.medium
def test_the_gap_of_stale_tokens_is_not_taken_for_the_samplers(sampling):
    first, second, *_ = [metrics for _, metrics in Run(sampling, staleness=1).go().metrics]
    assert first["sampler_gap"] < 1e-5
    assert "stale_gap" not in first
    assert second["stale_gap"] > 1e-3
    assert "sampler_gap" not in second


@pytest.mark.medium
def test_a_server_that_errs_only_beyond_the_compared_tokens_raises_the_alarm(stand_in, sampling):
    """From the ninth token of each turn on, log-probabilities are two nats too low."""
    num_compared = 8
    sampling = sampling.model_copy(update={"max_new_tokens": 2 * num_compared})

    def spoil(answer):
        spoiled = answer["choices"][0]["logprobs"]
        nats = spoiled["token_logprobs"]
        late = [one - 2.0 for one in nats[num_compared:]]
        spoiled["token_logprobs"] = [*nats[:num_compared], *late]

    def alarms(run):
        said = []
        # An untrained student or teacher may be nearly uniform.
        of_models = {"student_collapse": "warn", "uniform_teacher": "warn"}
        health = HealthSettings(
            stale_gap="warn", sampler_gap="warn", runaway_steps=STEPS + 1, **of_models
        )
        monitor = RunMonitor(health, run.policy.model.config.vocab_size, said.append)
        for (step, metrics), rollouts in zip(run.metrics, run.seen, strict=True):
            monitor.check(step, rollouts, metrics)
        return [one for one in said if "sampled one update before" in one]

    # At this rate an update moves a token by a hundredth of a nat; the server errs by about one.
    assert alarms(Run(sampling, staleness=1, rate=1e-4).go()) == []
    stand_in.spoil = spoil
    spoiled = Run(sampling, staleness=1, rate=1e-4).go()
    assert spoiled.metrics[1][1]["stale_gap"] > 0.5  # a turn may end early
    assert len(alarms(spoiled)) == 1


@pytest.mark.medium
def test_the_server_samples_while_the_step_before_trains(stand_in, sampling):
    updating = threading.Event()
    waited = []

    def spoil(_answer):
        # Step 1 and the turns that are compared come first. Then an answer waits for the update.
        if len(stand_in.bodies("/v1/completions")) > first:
            waited.append(updating.wait(10.0))

    run = Run(sampling, staleness=1, at_update=lambda step: updating.set())
    questions, _ = run.mixture.drawn(1)
    num_compared = 4
    first = 2 * len(questions) + 2 * num_compared  # two turns each
    stand_in.spoil = spoil
    run.go()
    assert waited
    assert all(waited)


@pytest.mark.medium
@pytest.mark.parametrize(
    "die_at", [2, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 3, STEPS))]
)
def test_a_run_killed_at_any_step_ends_in_the_same_bits(sampling, tmp_path, die_at):
    undisturbed = Run(sampling, staleness=1).go()
    store = FolderStore(tmp_path / "store")
    with pytest.raises(KilledError):
        Run(sampling, staleness=1).go(store, die_at=die_at)
    resumed = Run(sampling, staleness=1).go(store)
    assert_same(resumed, undisturbed)
    assert len(resumed.seen) == STEPS - die_at + 1  # the last state is that of the step before


@pytest.mark.medium
def test_a_server_that_fails_meanwhile_ends_the_run_where_its_answers_are_due(stand_in, sampling):
    run = Run(sampling, staleness=1, at_update=lambda step: fail())

    def fail():
        stand_in.spoil = lambda answer: answer["choices"].clear()
        stand_in.asked.clear()

    with raised(VllmError, "several-turns"):
        run.go()
    assert len(run.seen) == 1


@pytest.mark.medium
def test_a_server_that_keeps_its_own_weights_is_found_before_training(stand_in, sampling):
    stand_in.loads = False
    run = Run(sampling, staleness=1)
    with raised(VllmError, "other-log-probabilities"):
        run.go()
    assert run.metrics == []


def test_gaps_of_stale_and_of_fresh_tokens_count_apart():
    model, ids = tiny_model(), [10, 11, 12, 13]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    own = [float(torch.log_softmax(logits[t - 1], -1)[ids[t]]) for t in (2, 3)]
    fresh = rollout(ids, [2, 3], log_probs=[nats - 0.25 for nats in own])
    stale = replace(rollout(ids, [2, 3], log_probs=[nats - 1.0 for nats in own]), staleness=1)
    metrics = learner_of(model).update(Likelihood(), Likelihood().score([fresh, stale]), 1)
    assert metrics["sampler_gap"] == pytest.approx(0.25, abs=1e-5)
    assert metrics["stale_gap"] == pytest.approx(1.0, abs=1e-5)


LOOP = {"num_steps": 2, "learning_rate": 1e-3, "staleness": 1}
SERVED = {"engine": "vllm", "vllm": SERVER}
REFUSED = [
    ({}, {"engine": "transformers"}, {}, "staleness-without-server"),
    ({"inner_updates": 2}, SERVED, {}, "more-than-one-update-stale"),
    ({"inner_epochs": 2}, SERVED, {}, "more-than-one-update-stale"),
    ({}, SERVED, {"correction": Correction.NONE}, "staleness-uncorrected"),
    ({"num_steps": 1}, SERVED, {}, "no-effect"),
]


@pytest.mark.parametrize(("loop", "sampling", "importance", "code"), REFUSED)
def test_what_cannot_be_stale_is_refused(loop, sampling, importance, code):
    told = {"loop": LoopSettings(**LOOP | loop), "sampling": SamplingSettings(**sampling)}
    mask = ImportanceMask(**importance)
    with invalid(code):
        RoundSettings(**told, distil=DistilSettings(importance=mask))
    with invalid(code):
        RlSettings(**told, importance=mask)


def test_staleness_is_in_the_settings_of_a_record_only_where_it_is_set():
    assert "staleness" not in LoopSettings(**LOOP | {"staleness": 0}).model_dump()
    assert LoopSettings(**LOOP).model_dump()["staleness"] == 1
    for wrong in (-1, 2):
        with pytest.raises(ValueError, match="staleness"):
            LoopSettings(**LOOP | {"staleness": wrong})
