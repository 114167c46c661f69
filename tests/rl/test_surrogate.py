"""The loss of a token: its ratio, what bounds it and what is masked, against plain formulas."""

import math

import pytest
import torch

from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.settings import Correction, ImportanceMask, LoopSettings, Normalization
from tasks.onpolicy.step_plan import plan_step
from tasks.rl.objective import Reinforcement
from tasks.rl.settings import RlSettings
from tasks.rl.surrogate import OLD, bounds, negative_rollouts, surrogate
from tasks.rl.variants import AdaptiveClip, ClipRule, ClipSettings, RatioBase, RatioSettings
from tests.support.tiny_models import rollout

NONE = ImportanceMask(correction=Correction.NONE)
RATIOS = (0.5, 0.9, 1.1, 1.5, 3.0)
ALL = slice(0, len(RATIOS))


def batch_of(advantage, sampled=(0.1, 0.1, 0.1, 0.1, 0.1), old=None):
    """Return a microbatch of one rollout with a token for each of the sampler's probabilities."""
    logs = [math.log(p) for p in sampled]
    count = len(sampled)
    item = ScoredRollout(
        rollout(range(count + 1), range(1, count + 1), log_probs=logs),
        outcome_advantage=advantage,
        numbers={OLD: [math.log(p) for p in old]} if old else {},
    )
    return plan_step([item], Normalization.TOKEN_MEAN, 1000, pad_id=0)[0]


def gradient(advantage, settings, mask=NONE, upper=0.0):
    """Return loss and gradient of tokens with these ratios to a sampler of probability 0.1."""
    student = (torch.tensor(RATIOS) * 0.1).log().requires_grad_()
    taken = surrogate(student, batch_of(advantage), ALL, settings, mask, upper)
    (found,) = torch.autograd.grad(taken.loss_C.sum(), student)
    return taken, found


def plain(advantage, low, high, most=math.inf):
    """Return PPO's clipped loss and its gradient as autograd alone has them."""
    student = (torch.tensor(RATIOS) * 0.1).log().requires_grad_()
    ratio = (student - math.log(0.1)).exp().clamp(max=most)
    loss = -torch.min(ratio * advantage, ratio.clamp(low, high) * advantage)
    return loss, torch.autograd.grad(loss.sum(), student)[0]


@pytest.mark.parametrize("advantage", [2.0, -2.0])
@pytest.mark.parametrize(("low", "high"), [(0.2, 0.2), (0.2, 0.272), (10.0, 10.0)])
def test_the_clipped_loss_is_ppos(advantage, low, high):
    clip = RatioSettings(clip=ClipSettings(low=low, high=high))
    taken, found = gradient(advantage, clip)
    loss, expected = plain(advantage, max(0.0, 1 - low), 1 + high)
    torch.testing.assert_close(taken.loss_C, loss)
    torch.testing.assert_close(found, expected)


def test_clipped_tokens_are_those_that_moved_far_enough_with_their_advantage():
    clip = RatioSettings(clip=ClipSettings(low=0.2, high=0.3))
    up, _ = gradient(1.0, clip)
    down, _ = gradient(-1.0, clip)
    assert up.report["clipped"].tolist() == [0, 0, 0, 1, 1]
    assert down.report["clipped"].tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("advantage", [2.0, -2.0])
def test_the_sign_free_rule_masks_both_sides_whatever_the_advantage(advantage):
    clip = RatioSettings(clip=ClipSettings(low=0.2, high=0.2, rule=ClipRule.SIGN_FREE))
    taken, found = gradient(advantage, clip)
    assert taken.report["clipped"].tolist() == [1, 0, 0, 1, 1]
    # d(-r A) / d log p = -r A inside.
    torch.testing.assert_close(found, torch.tensor([0, -0.9, -1.1, 0, 0]) * advantage)


def test_an_adaptive_clip_has_the_inverse_of_the_lower_bound_and_a_margin():
    clip = ClipSettings(low=0.6, adaptive=AdaptiveClip())
    assert bounds(clip, upper=0.5) == pytest.approx((0.4, 3.0))
    taken, _ = gradient(1.0, RatioSettings(clip=clip), upper=0.0)
    assert taken.report["clipped"].tolist() == [0, 0, 0, 0, 1], "3 is above 1 / 0.4"


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_the_hard_bound_holds_on_all_branches(advantage):
    taken, found = gradient(advantage, RatioSettings(most=2.0))
    torch.testing.assert_close(taken.loss_C, -torch.tensor([0.5, 0.9, 1.1, 1.5, 2.0]) * advantage)
    assert found[-1] == 0.0
    assert taken.report["capped"].tolist() == [0, 0, 0, 0, 1]


def test_the_old_policy_is_the_base_and_the_sampler_only_weighs():
    # p = 0.3, old 0.2, sampler 0.1: ratio 1.5 and the weight 2 of an importance window to 5.
    student = torch.tensor([0.3]).log().requires_grad_()
    batch = batch_of(1.0, sampled=(0.1,), old=(0.2,))
    settings = RatioSettings(base=RatioBase.OLD)
    taken = surrogate(student, batch, slice(0, 1), settings, ImportanceMask())
    assert taken.loss_C.item() == pytest.approx(-3.0)
    assert taken.ratio_C.item() == pytest.approx(1.5)
    assert taken.weight_C.item() == pytest.approx(3.0)
    tight = ImportanceMask(low=0.5, high=1.5)
    taken = surrogate(student, batch, slice(0, 1), settings, tight)
    assert taken.loss_C.item() == 0.0
    assert taken.report["dropped"].tolist() == [1.0]
    capped = ImportanceMask(high=1.5, correction=Correction.TRUNCATE)
    taken = surrogate(student, batch, slice(0, 1), settings, capped)
    assert taken.loss_C.item() == pytest.approx(-1.5 * 1.5)


def test_in_a_single_update_the_old_policy_is_the_present_one():
    student = torch.tensor([0.3]).log().requires_grad_()
    taken = surrogate(
        student, batch_of(1.0, sampled=(0.3,)), slice(0, 1), RatioSettings(base="old"), NONE
    )
    assert taken.ratio_C.item() == 1.0
    assert torch.autograd.grad(taken.loss_C.sum(), student)[0].item() == -1.0


def test_the_default_has_the_gradient_of_the_unclipped_ratio():
    _, default = gradient(2.0, RatioSettings(), ImportanceMask())
    _, unclipped = plain(2.0, 0.0, math.inf)
    torch.testing.assert_close(default, unclipped)


def test_the_squared_log_ratio_is_added_for_every_token():
    taken, found = gradient(0.0, RatioSettings(squared_log=0.5))
    logs = torch.tensor(RATIOS).log()
    torch.testing.assert_close(taken.loss_C, 0.5 * logs.square())
    torch.testing.assert_close(found, logs)  # 0.5 * 2 log r


def two_rollouts(first_advantage, second_advantage):
    """Return a microbatch of two rollouts whose sampler gave each token a half."""
    rows = [
        ScoredRollout(
            rollout([0, 1, 2], [1, 2], log_probs=[math.log(0.5)] * 2), outcome_advantage=advantage
        )
        for advantage in (first_advantage, second_advantage)
    ]
    return plan_step(rows, Normalization.TOKEN_MEAN, 1000, pad_id=0)[0]


def test_the_off_policy_mask_takes_whole_rollouts_with_a_negative_advantage(monkeypatch):
    batch = two_rollouts(-1.0, 1.0)
    # The policy gives a quarter and a half: means of log(p_sampler / p_policy) of ln 2 / 2 each.
    own = torch.tensor([0.25, 0.5, 0.25, 0.5]).log()
    object.__setattr__(batch, "student_log_probs", lambda: own)
    assert negative_rollouts(batch, 0.3).tolist() == [True, True, False, False]
    assert negative_rollouts(batch, 0.4).tolist() == [False] * 4


def test_masked_rollouts_have_no_loss_in_the_objective():
    settings = RlSettings(
        loop=LoopSettings(num_steps=1, learning_rate=1e-3),
        ratio=RatioSettings(negative_mask=0.3),
        importance=NONE,
    )
    batch = two_rollouts(-1.0, 1.0)
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]] * 2))
    own = logits.log_softmax(-1)[range(4), batch.tokens.tokens_N]
    object.__setattr__(batch, "student_log_probs", lambda: own)
    loss = Reinforcement(settings).prepare(batch)(logits, slice(0, 4))
    assert loss.report["negative_mask"].tolist() == [1, 1, 0, 0]
    torch.testing.assert_close(
        loss.by_source["outcome"], torch.tensor([0, 0, math.log(4), math.log(2)])
    )
