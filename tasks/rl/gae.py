"""Generalized advantage estimation and the value loss of PPO, as plain functions.

Shapes: T response tokens of one rollout, N of a batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_EPSILON = 1e-8


def generalized_advantages(
    rewards: Sequence[float], values: Sequence[float], gamma: float, gae_lambda: float
) -> list[float]:
    """Return the advantage of each token of an episode that ends with its last (1506.02438 eq. 16).

    Args:
        rewards: Reward after each token [T].
        values: Value of what precedes each token [T].
        gamma: Discount.
        gae_lambda: Decay of later errors.
    """
    advantages: list[float] = []
    later, next_value = 0.0, 0.0
    for reward, value in zip(reversed(rewards), reversed(values), strict=True):
        error = reward + gamma * next_value - value
        later = error + gamma * gae_lambda * later
        advantages.append(later)
        next_value = value
    return advantages[::-1]


def whitened(advantages: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return advantages with mean 0 and deviation 1 over all tokens of all rollouts."""
    flat = torch.tensor([each for own in advantages for each in own], dtype=torch.float64)
    if len(flat) < 2:
        return [[0.0] * len(own) for own in advantages]
    scaled = iter(((flat - flat.mean()) * (flat.var() + _EPSILON).rsqrt()).tolist())
    return [[next(scaled) for _ in own] for own in advantages]


def value_loss(values_N: Tensor, old_N: Tensor, returns_N: Tensor, clip: float | None) -> Tensor:
    """Return half the squared error of each token's value [N], clipped as PPO's implementations do.

    The larger error counts: that of the value, or of the value within ``clip`` of the old one.
    """
    error_N = (values_N - returns_N).square()
    if clip is not None:
        near_N = old_N + (values_N - old_N).clamp(-clip, clip)
        error_N = torch.max(error_N, (near_N - returns_N).square())
    return 0.5 * error_N
