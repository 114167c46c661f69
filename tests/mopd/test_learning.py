"""MOPD on a toy: nothing moves at the teacher, the KL falls elsewhere, a seed is a result."""

import math

import pytest
import torch

from tasks.model.files import Policy
from tasks.mopd.objective import Distillation
from tasks.mopd.round_models import INITIAL_STUDENT, precursor_name
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings, Divergence, TopK
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.loop import LoopCallbacks, train
from tasks.onpolicy.settings import LoopSettings
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.domains import DomainShare, Mixture, make_player
from tasks.rollout.environment import Grade, Message, Prompt
from tasks.rollout.settings import SamplingSettings
from tests.support.tiny_models import tiny_model, tiny_policy, tokenizer

SAMPLING = SamplingSettings(max_new_tokens=4)
DOMAINS = ("math", "code")
FORMS = pytest.mark.parametrize("divergence", list(Divergence))


def settings_of(divergence, **more):
    """Return settings of a form, with a few of the toy's words where it looks at a few."""
    top_k = TopK(k=16) if divergence is Divergence.TOP_K else TopK()
    return DistilSettings(divergence=divergence, top_k=top_k, **more)


class Silent:
    """Two turns at most; the tool says something, and all is graded the same."""

    max_turns = 2

    def respond(self, prompt, turns):
        return "46"

    def grade(self, prompt, turns):
        return Grade(1.0)


def mixture(policy, seed=0, sampling=SAMPLING):
    """Return both domains' prompts, played by this policy."""
    player = make_player(
        {domain: LocalEnvironment(Silent()) for domain in DOMAINS}, policy, sampling
    )
    shares = [
        DomainShare(
            domain, [Prompt(f"{n}", (Message("user", f"{domain} {n}"),)) for n in range(6)], 6
        )
        for domain in DOMAINS
    ]
    return Mixture(player, shares, rollouts_per_prompt=1, seed=seed)


def distil(policy, teachers, divergence, *, seed=0, sampling=SAMPLING, form=None, **loop):
    """Train on both domains; return the metrics of each step."""
    told = {"num_steps": 8, "learning_rate": 1e-2, "warmup_steps": 0, "microbatch_tokens": 200}
    settings, history = LoopSettings(**told | loop), []
    objective = Distillation(
        Routing(Route(domain, domain) for domain in DOMAINS),
        ResidentTeachers(teachers, sampling.temperature),
        settings_of(divergence, **(form or {})),
        settings,
        control_ids=[0, 1, 2],
    )
    learner = Learner(
        policy.model,
        settings,
        sampling.temperature,
        tokenizer().pad_token_id,
        objective.sources,
    )
    callbacks = LoopCallbacks(
        lambda step, metrics: history.append(dict(metrics)), lambda step: None
    )
    train(learner, objective, mixture(policy, seed, sampling), callbacks)
    return history


def other_teachers():
    """Return teachers that are neither the student nor each other."""
    return {domain: tiny_model(seed) for seed, domain in enumerate(DOMAINS, start=1)}


@FORMS
def test_a_student_that_is_its_teacher_has_no_loss_and_no_gradient(divergence):
    teachers = {domain: tiny_model(0) for domain in DOMAINS}
    (metrics,) = distil(tiny_policy(0), teachers, divergence, num_steps=1)
    assert metrics["loss"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["gradient_norm"] == pytest.approx(0.0, abs=1e-5)
    for domain in DOMAINS:
        assert metrics[f"kl/{domain}"] == pytest.approx(0.0, abs=1e-6)
        assert metrics[f"dropped/{domain}"] == 0.0


@FORMS
@pytest.mark.parametrize(
    "form",
    [{}, {"reference_weight": 0.5}, {"delta_teachers": DOMAINS}],
    ids=["plain", "reference", "delta"],
)
def test_at_another_temperature_too_a_student_that_is_its_teacher_has_no_loss(divergence, form):
    others = [INITIAL_STUDENT, *map(precursor_name, DOMAINS)] if form else []
    models = {name: tiny_model(0) for name in (*DOMAINS, *others)}
    cold = SAMPLING.model_copy(update={"temperature": 0.7})
    policy = tiny_policy(0)
    (metrics,) = distil(policy, models, divergence, sampling=cold, form=form, num_steps=1)
    assert metrics["loss"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["gradient_norm"] == pytest.approx(0.0, abs=1e-5)
    for domain in DOMAINS:
        assert metrics[f"kl/{domain}"] == pytest.approx(0.0, abs=1e-6)


@FORMS
def test_the_divergence_from_every_teacher_falls(divergence):
    history = distil(tiny_policy(0), other_teachers(), divergence, num_steps=20, learning_rate=4e-2)
    for domain in DOMAINS:
        first, last = history[0][f"kl/{domain}"], history[-1][f"kl/{domain}"]
        assert last < 0.8 * first


def test_nothing_is_dropped_where_trainer_and_sampler_have_the_same_weights():
    for metrics in distil(tiny_policy(0), other_teachers(), Divergence.SAMPLED_TOKEN, num_steps=3):
        assert [metrics[f"dropped/{domain}"] for domain in DOMAINS] == [0.0, 0.0]


@FORMS
def test_the_same_seed_gives_the_same_weights_bit_for_bit(divergence):
    weights = []
    for _ in range(2):
        policy = tiny_policy(0)
        distil(policy, other_teachers(), divergence, num_steps=3)
        torch.rand(7)  # the global generator plays no part
        weights.append(policy.model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_another_seed_gives_other_weights():
    first, second = tiny_policy(0), tiny_policy(0)
    for seed, policy in enumerate((first, second)):
        distil(policy, other_teachers(), Divergence.FULL_VOCABULARY, seed=seed, num_steps=1)
    name = "model.embed_tokens.weight"
    assert not torch.equal(first.model.state_dict()[name], second.model.state_dict()[name])


def test_teachers_do_not_change():
    teachers = other_teachers()
    distil(tiny_policy(0), teachers, Divergence.FULL_VOCABULARY, num_steps=2)
    for seed, domain in enumerate(DOMAINS, start=1):
        fresh = tiny_model(seed).state_dict()
        assert all(torch.equal(fresh[k], v) for k, v in teachers[domain].state_dict().items())


@FORMS
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_teacher_that_is_not_finite_stops_the_run_and_names_the_step(divergence, number):
    teachers, policy = other_teachers(), tiny_policy(0)
    teachers["code"].model.norm.weight.data[0] = number
    before = [parameter.detach().clone() for parameter in policy.model.parameters()]
    with pytest.raises(
        FloatingPointError,
        match=r"step 1: .*nan.*\[.code.\]",
    ):
        distil(policy, teachers, divergence)
    assert all(map(torch.equal, before, policy.model.parameters()))


def test_a_half_precision_teacher_scores_in_single_precision():
    half = {domain: tiny_model(0).bfloat16() for domain in DOMAINS}
    policy = Policy(tiny_model(0), tokenizer())
    (metrics,) = distil(policy, half, Divergence.FULL_VOCABULARY, num_steps=1)
    # Eight bits of mantissa: near the student, and not on it.
    assert 0 < metrics["kl/math"] < 0.1
