"""Which rollouts pushed a behavior: a first-order score, against the change that it foretells."""

import pytest
import torch

from tasks.attribution.influence import (
    SHOWN,
    RolloutInfluence,
    batch_of,
    score,
    segments_to_search,
    slope,
    strongest,
)
from tasks.attribution.path_integral import allocate
from tasks.ledger.schema import KeptRollout
from tasks.model.chat import ChatTokens
from tests.support.courses import behavior, course, direction, encoded, scorer, weights
from tests.support.tiny_models import tokenizer

BATCH = encoded(behavior(), behavior("owl", "fox", contrast="owl fox"))
CHAT = ChatTokens(tokenizer())


def kept(teacher="math", step=1, advantages=(1.0, -2.0), weight=0.5, text="fox"):
    ids = CHAT.prompt([{"role": "user", "content": text}])
    return KeptRollout(
        step=step,
        teacher=teacher,
        domain=teacher,
        prompt=text,
        score=1.0,
        ids=(*ids, 40, 41),
        response=(len(ids), len(ids) + 1),
        weight=weight,
        sampler_log_probs=(-1.0, -1.0),
        advantages={teacher: advantages},
    )


def test_the_slope_is_that_of_the_signed_sum():
    [stretch] = course({"math": direction(1, 0.1)})
    toward = direction(5, 1.0)
    gradient = slope(BATCH, scorer(BATCH), stretch)
    along = sum(float((gradient[name] * toward[name]).sum()) for name in toward)
    [change_N] = scorer(BATCH).derivatives(stretch.start, [toward])
    assert along == pytest.approx(float((change_N * BATCH.signs_N).sum()), rel=1e-4)


def test_influence_is_how_the_behaviors_change_when_the_rollouts_gradient_is_followed():
    """d/de f(w + e g) = grad f . g, where g is the gradient of weight x advantage x log p."""
    [stretch] = course({"math": direction(1, 0.1)})
    rollout = kept()
    of_rollout = scorer(BATCH).on(batch_of([rollout], CHAT.pad_id))
    gradient = slope(BATCH, scorer(BATCH), stretch)
    [found] = score([rollout], of_rollout, stretch, gradient)
    start = {name: tensor.clone().requires_grad_() for name, tensor in weights().items()}
    surrogate = (of_rollout.with_gradient(start) * torch.tensor([1.0, -2.0])).sum() * 0.5
    update = dict(zip(start, torch.autograd.grad(surrogate, list(start.values())), strict=True))
    [change_N] = scorer(BATCH).derivatives(stretch.start, [update])
    assert found.influence == pytest.approx(float((change_N * BATCH.signs_N).sum()), rel=1e-4)


def test_a_teacher_is_searched_where_it_added_most():
    toward = slope(BATCH, scorer(BATCH), next(iter(course({"math": direction(1, 0.1)}))))
    small = {name: 1e-4 * tensor for name, tensor in toward.items()}
    large = {name: 1e-3 * tensor for name, tensor in toward.items()}
    allocation = allocate(
        scorer(BATCH), BATCH, course({"math": small, "code": large}, {"math": large, "code": small})
    )
    assert segments_to_search(allocation, ["math", "code"]) == {1: ["math"], 0: ["code"]}


def test_only_rollouts_that_pushed_towards_it_are_shown_strongest_first():
    scored = [RolloutInfluence(kept(text=f"fox {n}"), float(n)) for n in range(-2, 6)]
    scored.append(RolloutInfluence(kept("code", text="owl"), 4.5))
    shown = strongest(scored, CHAT)
    assert [item.influence for item in shown] == [5.0, 4.5, 4.0, 3.0]
    assert len([item for item in shown if item.teacher == "math"]) == SHOWN
    assert shown[0].asked.count("fox 5") == 1
