"""The algorithm on one screen is the engine: the same weights after ten steps in float64."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from tasks.mopd.objective import Distillation
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.settings import LoopSettings
from tests.support.tiny_models import rollout, tiny_model

FILE = Path(__file__).parents[2] / "docs" / "mopd_in_one_file.py"
MOST_LINES = 150
PROMPTS = {"math": [[5, 6, 7], [8, 9, 10]], "code": [[11, 12, 13, 14], [15, 16, 17, 18]]}
NEW_TOKENS = {"math": 5, "code": 3}
SCALES = {"math": 1.0, "code": 7.0}
"""How much likelier than it was the sampler says each token to be: 7 falls out of the window."""


@pytest.fixture(scope="module")
def one_file():
    spec = importlib.util.spec_from_file_location("mopd_in_one_file", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def models():
    """Return a student and two teachers in float64."""
    student, math, code = (tiny_model(seed).double() for seed in range(3))
    return student, {"math": math, "code": code}


def engine(student, teachers, settings):
    """Return Provost's objective and learner with the one file's settings."""
    loop = LoopSettings(
        num_steps=10,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_steps,
        gradient_clip=settings.gradient_clip,
        microbatch_tokens=8,  # several microbatches a step
    )
    objective = Distillation(
        Routing(Route(domain, domain) for domain in teachers),
        ResidentTeachers(teachers, temperature=1.0),
        DistilSettings(),
        loop,
        control_ids=[0],
    )
    return objective, Learner(student, loop, 1.0, 0, objective.sources)


def as_engine_rollouts(batch):
    """Return the one file's rollouts as the engine takes them."""
    return [
        rollout(
            ids.tolist(),
            mask.nonzero().flatten().tolist(),
            domain=rollouts.domain,
            log_probs=log_probs[mask].tolist(),
        )
        for rollouts in batch
        for ids, mask, log_probs in zip(
            rollouts.ids_BS, rollouts.is_response_BS, rollouts.sampler_BS, strict=True
        )
    ]


def sampled(one_file, student, generator):
    """Return a step's rollouts; every third token of one domain has a ratio outside the window."""
    batch = []
    for domain, prompts in PROMPTS.items():
        rollouts = one_file.sample(student, domain, prompts, NEW_TOKENS[domain], generator)
        rollouts.sampler_BS[:, ::3] += torch.tensor(SCALES[domain]).log()
        batch.append(rollouts)
    return batch


def test_it_is_the_engine_to_1e_6_after_ten_steps(one_file):
    settings = one_file.Settings(learning_rate=2e-3)
    (plain, teachers), (student, same_teachers) = models(), models()
    objective, learner = engine(student, same_teachers, settings)
    optimizer = one_file.make_optimizer(plain, settings)
    generator = torch.Generator().manual_seed(0)
    start = {name: value.detach().clone() for name, value in plain.named_parameters()}
    for step in range(1, 11):
        batch = sampled(one_file, plain, generator)
        loss = one_file.update(plain, teachers, batch, optimizer, step, settings)
        metrics = learner.update(objective, objective.score(as_engine_rollouts(batch)), step)
        assert metrics["loss"] == pytest.approx(loss, rel=1e-6)
        assert metrics["dropped/code"] > 0 == metrics["dropped/math"]
    weights = dict(student.named_parameters())
    for name, value in plain.named_parameters():
        assert float((value.detach() - start[name]).abs().max()) > 1e-3, name
        torch.testing.assert_close(value, weights[name], rtol=0, atol=1e-6)


def test_a_teacher_that_is_the_student_gives_no_loss_and_no_gradient(one_file):
    student, _ = models()
    batch = sampled(one_file, student, torch.Generator().manual_seed(0))
    for rollouts in batch:
        loss = one_file.domain_loss(student, student, rollouts, one_file.Settings())
        loss.backward()
        assert loss.item() == pytest.approx(0.0, abs=1e-12)
    assert max(float(p.grad.abs().max()) for p in student.parameters()) < 1e-12


def test_it_fits_on_one_screen():
    assert len(FILE.read_text("utf-8").splitlines()) <= MOST_LINES
