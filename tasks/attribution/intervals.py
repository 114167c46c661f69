"""Intervals over a set of behaviours, by resampling them: the percentile bootstrap.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3. Behaviours are the
unit, never tokens: tokens of one response are not independent.

Shapes: B behaviours, P sources, R resamples.
"""

import torch
from torch import Tensor

from tasks.attribution.document import Estimate

RESAMPLES = 2_000
FEWEST = 5
"""Behaviours; of fewer the bootstrap has too few different samples to be an interval."""


def resampled(values_PB: Tensor, seed: int) -> Tensor | None:
    """Return the means [P, R] over resampled behaviours, the same resamples for every source.

    None for fewer than ``FEWEST`` behaviours.
    """
    count = values_PB.shape[1]
    if count < FEWEST:
        return None
    generator = torch.Generator().manual_seed(seed)
    drawn_RB = torch.randint(count, (RESAMPLES, count), generator=generator)
    # How often each behaviour is in each resample: one product instead of [P, R, B] numbers.
    times_RB = torch.zeros(RESAMPLES, count).scatter_add_(1, drawn_RB, torch.ones(drawn_RB.shape))
    return values_PB.float() @ times_RB.T / count


def estimate(values_B: Tensor, means_R: Tensor | None) -> Estimate:
    """Return the mean over behaviours with the central 95 % of the resampled means."""
    mean = float(values_B.mean())
    if means_R is None:
        return Estimate(mean=mean)
    low, high = torch.quantile(means_R, torch.tensor([0.025, 0.975])).tolist()
    return Estimate(mean=mean, low=low, high=high)


def share_that_name(place: int, means_PR: Tensor) -> float:
    """Return the share of resamples in which the source at ``place`` is the largest."""
    return float((means_PR.argmax(0) == place).float().mean())
