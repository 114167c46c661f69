"""RL with verifiable rewards: the objective by hand, and a toy on which it must succeed."""

import math

import pytest
import torch

from tasks.onpolicy.learner import Learner
from tasks.onpolicy.loop import LoopCallbacks, train
from tasks.onpolicy.policy_gradient import group_advantages
from tasks.onpolicy.settings import ImportanceMask, LoopSettings, Normalization
from tasks.onpolicy.step_plan import plan_step
from tasks.rl.grpo import GroupAdvantage
from tasks.rl.objective import Reinforcement
from tasks.rl.settings import RlSettings
from tasks.rl.variants import AdvantageBaseline, AdvantageScale, AdvantageSettings
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.domains import DomainShare, Mixture, make_player
from tasks.rollout.environment import Grade, Message, Prompt
from tasks.rollout.settings import SamplingSettings
from tests.support.refused import invalid
from tests.support.tiny_models import rollout, tiny_policy, tokenizer

LN4 = math.log(4)


def of_score(score, sampled=1 / 4, prompt="p"):
    """Return a rollout of one response token, the word 1, sampled with this probability."""
    return rollout([0, 1], [1], score=score, prompt=prompt, log_probs=[math.log(sampled)])


LOOP = LoopSettings(num_steps=1, learning_rate=1e-3)


def token_losses(rollouts):
    """Return the loss of each token of a student that gives four words a quarter each."""
    objective = Reinforcement(RlSettings(loop=LOOP, importance=ImportanceMask(low=0.5, high=2.0)))
    (batch,) = plan_step(objective.score(rollouts), Normalization.TOKEN_MEAN, 1000, pad_id=0)
    logits = torch.zeros(len(rollouts), 4, requires_grad=True)
    return objective.prepare(batch)(logits, slice(0, len(logits))), logits


def test_a_better_answer_gains_and_a_worse_one_loses():
    loss, logits = token_losses([of_score(1.0), of_score(0.0)])
    # Advantages of scores 1 and 0 are 1 and -1; -A log p with log p = -log 4.
    torch.testing.assert_close(loss.by_source["outcome"], torch.tensor([LN4, -LN4]))
    loss.by_source["outcome"].sum().backward()
    # -A (1 - p) on the word itself.
    torch.testing.assert_close(logits.grad[:, 1], torch.tensor([-3 / 4, 3 / 4]))


def test_a_group_of_equal_scores_teaches_nothing():
    loss, _ = token_losses([of_score(1.0), of_score(1.0)])
    assert loss.by_source["outcome"].tolist() == [0.0, 0.0]


def test_tokens_are_weighed_by_their_importance_and_dropped_outside_the_window():
    # 1/4 over 1/6 is 1.5; over 1/16 it is 4, above 2; the report counts the dropped one.
    loss, _ = token_losses([of_score(1.0, sampled=1 / 6), of_score(0.0, sampled=1 / 16)])
    torch.testing.assert_close(loss.by_source["outcome"], torch.tensor([1.5 * LN4, 0.0]))
    assert loss.report["dropped"].tolist() == [0.0, 1.0]


def test_advantages_are_of_the_group_and_without_a_teacher():
    rollouts = [of_score(1.0, prompt="a"), of_score(0.0, prompt="b"), of_score(0.0, prompt="a")]
    scored = Reinforcement(RlSettings(loop=LOOP)).score(rollouts)
    assert [item.outcome_advantage for item in scored] == [1.0, 0.0, -1.0]
    assert {item.teacher for item in scored} == {""}
    assert [item.rollout for item in scored] == rollouts


class EvenFirst:
    """Gives 1 where the first character's number is even."""

    max_turns = 1

    def respond(self, prompt, turns):
        return None

    def grade(self, prompt, turns):
        said = turns[-1].content
        return Grade(float(bool(said) and ord(said[0]) % 2 == 0))


def climb(seed=0, num_steps=25):
    """Run a short climb; return (rewards by step, weights)."""
    policy, sampling = tiny_policy(0), SamplingSettings(max_new_tokens=2)
    player = make_player({"even": LocalEnvironment(EvenFirst())}, policy, sampling)
    prompts = [Prompt(str(n), (Message("user", f"fox {n}"),)) for n in range(4)]
    source = Mixture(player, [DomainShare("even", prompts, 4)], rollouts_per_prompt=8, seed=seed)
    settings = LoopSettings(num_steps=num_steps, learning_rate=3e-2, warmup_steps=2)
    rewards = []
    train(
        Learner(
            policy.model, settings, sampling.temperature, tokenizer().pad_token_id, ["outcome"]
        ),
        Reinforcement(RlSettings(loop=settings)),
        source,
        LoopCallbacks(lambda step, metrics: rewards.append(metrics["reward"]), lambda step: None),
    )
    return rewards, policy.model.state_dict()


def test_the_reward_of_a_toy_rises():
    rewards, _ = climb()
    assert sum(rewards[:3]) / 3 < 0.4
    assert sum(rewards[-3:]) / 3 > 0.8


def test_a_climb_is_the_same_again_bit_for_bit_and_another_with_another_seed():
    (rewards, weights), (again, same), (_, other) = climb(0, 3), climb(0, 3), climb(1, 3)
    assert rewards == again
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert not all(torch.equal(weights[name], other[name]) for name in weights)


def test_a_climb_of_single_rollouts_is_refused_because_a_group_needs_two():
    assert RlSettings(loop=LOOP, rollouts_per_prompt=2).rollouts_per_prompt == 2
    with invalid("single-rollout", "rollouts_per_prompt"):
        RlSettings(loop=LOOP, rollouts_per_prompt=1)


def advantages(*scores, **settings):
    """Return the advantages of one group with these rewards."""
    rollouts = [of_score(0.0) for _ in scores]
    scored = GroupAdvantage(AdvantageSettings(**settings)).score(
        rollouts, scores, [()] * len(scores)
    )
    return [item.outcome_advantage for item in scored]


def test_the_default_is_the_advantage_that_consolidations_use_too():
    scores = (0.1, 0.7, 0.7, 1.0)
    assert advantages(*scores) == group_advantages([of_score(score) for score in scores])


def test_without_a_scale_the_advantage_is_the_difference_to_the_mean():
    assert advantages(1, 0, 0, 3, scale=AdvantageScale.NONE) == pytest.approx([0, -1, -1, 2])


def test_leaving_one_out_compares_with_the_mean_of_the_others():
    # 3 - (1 + 0 + 0) / 3 = 8 / 3, and 1 - (0 + 0 + 3) / 3 = 0.
    found = advantages(
        1, 0, 0, 3, baseline=AdvantageBaseline.LEAVE_ONE_OUT, scale=AdvantageScale.NONE
    )
    assert found == pytest.approx([0, -4 / 3, -4 / 3, 8 / 3])


def test_an_advantage_is_clipped_to_both_sides():
    found = advantages(1, 0, 0, 3, scale=AdvantageScale.NONE, clip=0.5)
    assert found == pytest.approx([0, -0.5, -0.5, 0.5])


def test_penalties_of_tokens_are_subtracted_from_the_reward():
    scored = GroupAdvantage(AdvantageSettings(scale=AdvantageScale.NONE)).score(
        [of_score(0.0)] * 2, [1.0, 1.0], [(0.5, 1.5), ()]
    )
    assert [item.outcome_advantage for item in scored] == [-1.0, 1.0]
