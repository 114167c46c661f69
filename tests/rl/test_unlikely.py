"""A fixed negative advantage of unlikely tokens, by hand, and in a run without any reward."""

import math

import pytest
import torch
from pydantic import ValidationError

from tasks.onpolicy.microbatch import ADVANTAGE
from tasks.onpolicy.settings import ImportanceMask, LoopSettings, Normalization
from tasks.onpolicy.step_plan import plan_step
from tasks.rl.objective import Reinforcement
from tasks.rl.policy_tools import PolicyTools
from tasks.rl.settings import RlSettings
from tasks.rl.unlikely import UnlikelyTokens
from tasks.rl.variants import UnlikelySettings
from tests.support.rl_runs import RlPlace
from tests.support.tiny_models import rollout

HALF = math.log(0.5)
UNLIKELY = UnlikelySettings(advantage=-2.0, log_prob=HALF)


def sampled(*probabilities, score=1.0):
    """Return a rollout of a prompt token and one response token for each probability."""
    logs = [math.log(each) for each in probabilities]
    return rollout([0, *[1] * len(logs)], [*range(1, len(logs) + 1)], score=score, log_probs=logs)


def test_tokens_below_the_bound_get_the_advantage_whatever_the_reward():
    given = UnlikelyTokens(UNLIKELY)
    high, low = given.score([sampled(0.9, 0.4), sampled(0.5, score=0.0)], [1.0, 0.0], [(), ()])
    assert high.numbers[ADVANTAGE] == (0.0, -2.0)
    assert low.numbers[ADVANTAGE] == (0.0,)  # as likely as the bound, so not unlikely
    assert given.end_step(1) == {"unlikely_tokens": 1 / 3}


def test_penalties_of_tokens_still_count():
    (scored,) = UnlikelyTokens(UNLIKELY).score([sampled(0.9, 0.4)], [1.0], [(0.25, 0.5)])
    assert scored.numbers[ADVANTAGE] == (-0.25, -2.5)


def test_an_unlikely_token_becomes_more_unlikely():
    settings = RlSettings(
        loop=LoopSettings(num_steps=1, learning_rate=1e-3),
        importance=ImportanceMask(low=0.1, high=10.0),
        unlikely=UNLIKELY,
        rollouts_per_prompt=1,
    )
    objective = Reinforcement(settings, PolicyTools(UnlikelyTokens(UNLIKELY)))
    scored = objective.score([sampled(0.25), sampled(0.75)])
    (batch,) = plan_step(scored, Normalization.TOKEN_MEAN, 1000, pad_id=0)
    logits = torch.zeros(2, 4, requires_grad=True)
    loss = objective.prepare(batch)(logits, slice(0, 2))
    loss.by_source["outcome"].sum().backward()
    # Both tokens have 1/4 now. Ratio 1 for the first, advantage -2: 2 (1 - 1/4) on its logit.
    torch.testing.assert_close(logits.grad[:, 1], torch.tensor([1.5, 0.0]))


@pytest.mark.parametrize(
    "more",
    [
        {"advantage": {"scale": "none"}},
        {"rewards": {"terms": [{"kind": "grade", "name": "grade"}]}},
        {"value": {"start": "policy", "learning_rate": 1e-3}},
        {"groups": {"zero_variance": "drop"}},
    ],
)
def test_what_would_have_no_effect_is_refused(more):
    loop = LoopSettings(num_steps=1, learning_rate=1e-3)
    RlSettings(loop=loop, unlikely=UNLIKELY)
    RlSettings(loop=loop, **more)
    with pytest.raises(ValidationError, match=next(iter(more))):
        RlSettings(loop=loop, unlikely=UNLIKELY, **more)


def test_a_run_learns_without_a_reward(tmp_path):
    place = RlPlace(tmp_path / "place")
    settings = RlSettings(
        loop=LoopSettings(num_steps=2, learning_rate=1e-3),
        sampling={"max_new_tokens": 2},
        prompts_per_step=2,
        rollouts_per_prompt=1,
        unlikely=UnlikelySettings(log_prob=-0.1),
    )
    ladder, measured = place.run(settings)
    assert ladder[-1].checkpoint.digest != place.start.digest
    assert min(measured["unlikely_tokens"]) > 0
