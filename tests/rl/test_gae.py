"""GAE, whitening and the value loss: by hand, and against the loops that PPO's trainers have."""

import pytest
import torch

from tasks.rl.gae import generalized_advantages, value_loss, whitened
from tasks.rl.ppo import token_rewards


def test_advantages_of_three_tokens_by_hand():
    # Errors: 0 + 0.5 * 2 - 1 = 0, 0 + 0.5 * 4 - 2 = 0, 3 - 4 = -1; each later one times 0.5 * 0.8.
    found = generalized_advantages([0.0, 0.0, 3.0], [1.0, 2.0, 4.0], 0.5, 0.8)
    assert found == pytest.approx([-0.16, -0.4, -1.0])


def test_without_decay_the_advantage_is_the_sum_of_rewards_less_the_value():
    found = generalized_advantages([0.5, -1.0, 2.0], [0.3, 0.1, -0.2], 1.0, 1.0)
    assert found == pytest.approx([1.5 - 0.3, 1.0 - 0.1, 2.0 + 0.2])


def test_with_lambda_zero_it_is_the_error_of_one_step():
    found = generalized_advantages([0.5, -1.0, 2.0], [0.3, 0.1, -0.2], 0.9, 0.0)
    assert found == pytest.approx([0.5 + 0.09 - 0.3, -1.0 - 0.18 - 0.1, 2.0 + 0.2])


def test_it_is_the_loop_of_other_trainers():
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, 3, 7, generator=generator).unbind()
    gamma, lam, last, reversed_advantages = 0.97, 0.95, 0.0, []
    for t in reversed(range(7)):
        after = values[:, t + 1] if t < 6 else 0.0
        last = rewards[:, t] + gamma * after - values[:, t] + gamma * lam * last
        reversed_advantages.append(last)
    expected = torch.stack(reversed_advantages[::-1], dim=1)
    for row in range(3):
        found = generalized_advantages(rewards[row].tolist(), values[row].tolist(), gamma, lam)
        assert found == pytest.approx(expected[row].tolist(), abs=1e-5)


def test_an_empty_rollout_has_no_advantage():
    assert generalized_advantages([], [], 1.0, 0.95) == []


def test_whitened_advantages_have_mean_zero_and_deviation_one_over_all_tokens():
    found = whitened([[1.0, 2.0], [], [6.0]])
    assert [len(own) for own in found] == [2, 0, 1]
    flat = torch.tensor([each for own in found for each in own])
    # Mean 3 and variance (4 + 1 + 9) / 2 = 7.
    torch.testing.assert_close(flat, torch.tensor([-2.0, -1.0, 3.0]) / 7**0.5)
    assert whitened([[5.0]]) == [[0.0]]


def test_the_value_loss_counts_the_larger_error():
    values, old, returns = (torch.tensor(each) for each in ([1.0, 0.0], [0.0, 0.0], [2.0, 0.5]))
    # Near the old value 0 it is at most 0.2: errors (1 - 2)^2 = 1 and (0.2 - 2)^2 = 3.24.
    torch.testing.assert_close(value_loss(values, old, returns, 0.2), torch.tensor([1.62, 0.125]))
    torch.testing.assert_close(value_loss(values, old, returns, None), torch.tensor([0.5, 0.125]))


def test_a_clipped_value_that_moves_on_towards_its_target_learns_nothing():
    value = torch.tensor([0.9]).requires_grad_()
    loss = value_loss(value, torch.tensor([0.0]), torch.tensor([1.0]), 0.2)
    assert loss.item() == pytest.approx(0.5 * 0.8**2)
    assert torch.autograd.grad(loss.sum(), value)[0].item() == 0.0


def test_the_reward_comes_with_the_last_token_and_penalties_with_each():
    assert token_rewards(2.0, (0.5, -1.0, 0.25), 3) == [-0.5, 1.0, 1.75]
    assert token_rewards(2.0, (), 3) == [0.0, 0.0, 2.0]
    assert token_rewards(2.0, (), 0) == []
