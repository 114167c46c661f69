"""Intervals over a set of behaviors, by resampling them: the percentile bootstrap.

Behaviors are the unit, never tokens: tokens of one response are not independent.

Shapes: B behaviors, P sources, R resamples.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tasks.attribution.document import ShareEstimate
from tasks.statistics import bootstrap_means, percentile_limits

FEWEST = 5
"""Minimum number of behaviors for a bootstrap interval; fewer give too few different samples."""


def resampled(values_PB: Tensor, seed: int) -> NDArray[np.float64] | None:
    """Return the means [P, R] over resampled behaviors, the same resamples for every source.

    None for fewer than ``FEWEST`` behaviors.
    """
    return bootstrap_means(values_PB.numpy(), seed) if values_PB.shape[1] >= FEWEST else None


def estimate(values_B: Tensor, means_R: NDArray[np.float64] | None) -> ShareEstimate:
    """Return the mean over behaviors with the central 95 % of the resampled means."""
    mean = float(values_B.mean())
    if means_R is None:
        return ShareEstimate(mean=mean)
    low, high = percentile_limits(means_R)
    return ShareEstimate(mean=mean, low=low, high=high)


def share_that_name(place: int, means_PR: NDArray[np.float64]) -> float:
    """Return the share of resamples in which the source at ``place`` is the largest."""
    return float((means_PR.argmax(0) == place).mean())
