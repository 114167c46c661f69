"""Sampler and trainer are compared at every update, over all turns."""

import pytest
import torch

from tests.onpolicy.test_loop import SCORED, Likelihood, learner_of
from tests.support.tiny_models import rollout, tiny_model


def test_the_gap_to_the_sampler_is_that_of_all_tokens_of_all_turns():
    model = tiny_model()
    ids = [10, 11, 12, 13, 14, 15, 16]
    turns = [2, 3, 5, 6]  # two turns, with a tool's answer between
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    own = [float(torch.log_softmax(logits[t - 1], -1)[ids[t]]) for t in turns]
    # A sampler that is right in its first turn, and half a nat too low in its second.
    sampled = [own[0], own[1], own[2] - 0.5, own[3] - 0.5]
    rollouts = [rollout(ids, turns, log_probs=sampled)]
    metrics = learner_of(model).update(Likelihood(), Likelihood().score(rollouts), 1)
    assert metrics["sampler_gap"] == pytest.approx(0.25, abs=1e-5)
    assert metrics["sampler_bias"] == pytest.approx(0.25, abs=1e-5)


def test_a_policy_that_has_moved_is_not_compared_with_the_sampler():
    scored = [SCORED[0], SCORED[0], SCORED[1], SCORED[1]]  # each update gets one of each
    once = learner_of().update(Likelihood(), scored, 1)
    again = learner_of(inner_updates=2, learning_rate=10.0).update(Likelihood(), scored, 1)
    assert again["sampler_gap"] == pytest.approx(once["sampler_gap"], rel=1e-5)
