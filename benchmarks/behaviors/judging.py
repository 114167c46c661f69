"""How right answers are, and how well their probabilities say so.

Intervals are bootstraps in two stages: worlds are resampled, and within each the behaviors. A world
is one student, and the forms of a behavior are one draw, so neither counts as independent. All
behaviors of a world were trained in that world, so one name in two worlds is two behaviors.

Shapes: N answers, C behaviors, R resamples, B bins, M methods.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from tasks.statistics import percentile_limits

BINS = 10
RESAMPLES = 1000
Cluster = tuple[int, str]
"""A world and a behavior of it."""
Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats, Floats], Floats]
"""A number [R] from whether each answer is right [N], its probability [N] and weights [R, N]."""


@dataclass(frozen=True)
class JudgedAnswer:
    """One answer beside the truth."""

    cluster: Cluster
    right: bool
    probability: float


def is_right(named: Sequence[str], truth: Sequence[str]) -> bool:
    """Return whether an answer holds: only teachers that taught it, and none if none did."""
    return bool(set(named) <= set(truth) and bool(named) == bool(truth))


def mean_of(values_N: ArrayLike) -> Callable[[Floats], Floats]:
    """Return what gives the mean of values [R] from their weights [R, N]."""
    values = np.asarray(values_N, dtype=np.float64)
    return lambda weight_RN: weight_RN @ values / weight_RN.sum(1)


def share_right(right_N: Floats, probability_N: Floats, weight_RN: Floats) -> Floats:
    """Return the share of right answers [R]."""
    return mean_of(right_N)(weight_RN)


def brier(right_N: Floats, probability_N: Floats, weight_RN: Floats) -> Floats:
    """Return the mean squared difference of probability and outcome [R]."""
    return mean_of((probability_N - right_N) ** 2)(weight_RN)


def calibration_error(right_N: Floats, probability_N: Floats, weight_RN: Floats) -> Floats:
    """Return the expected calibration error [R] with ten bins of equal width.

    The mean over answers of how far the share of right ones in their bin is from the mean
    probability in it.
    """
    is_in_NB = bins_of(probability_N)[:, None] == np.arange(BINS)
    surplus_RB = (weight_RN * (right_N - probability_N)) @ is_in_NB
    total_R: Floats = np.abs(surplus_RB).sum(1) / weight_RN.sum(1)
    return total_R


def bins_of(probability_N: ArrayLike) -> NDArray[np.intp]:
    """Return the bin of each probability; 1 is in the last."""
    return np.minimum((np.asarray(probability_N) * BINS).astype(np.intp), BINS - 1)


def diagram(rows: Sequence[JudgedAnswer]) -> list[dict[str, float]]:
    """Return for each bin that has answers: their number, mean probability, and share right."""
    right_N, probability_N = _arrays(rows)
    bins_N = bins_of(probability_N)
    return [
        {
            "of": int(own_N.sum()),
            "probability": round(float(probability_N[own_N].mean()), 4),
            "right": round(float(right_N[own_N].mean()), 4),
        }
        for place in range(BINS)
        for own_N in [bins_N == place]
        if own_N.any()
    ]


def interval(rows: Sequence[JudgedAnswer], statistic: Statistic, seed: int = 0) -> dict[str, float]:
    """Return a statistic of answers with its 95 % interval."""
    right_N, probability_N = _arrays(rows)
    clusters = [row.cluster for row in rows]
    return resampled(clusters, lambda w_RN: statistic(right_N, probability_N, w_RN), seed)


def difference(
    one: Sequence[JudgedAnswer],
    other: Sequence[JudgedAnswer],
    statistic: Statistic,
    seed: int = 0,
) -> dict[str, float]:
    """Return how much a statistic is larger for one method than for another, with its interval.

    Each resample has the same behaviors for both.

    Raises:
        ValueError: for answers to other questions.
    """
    clusters = [row.cluster for row in one]
    if clusters != [row.cluster for row in other]:
        raise ValueError("two methods must answer the same questions in the same order")
    right_N, probability_N = _arrays(one)
    right_other_N, probability_other_N = _arrays(other)

    def of_both(weight_RN: Floats) -> Floats:
        return statistic(right_N, probability_N, weight_RN) - statistic(
            right_other_N, probability_other_N, weight_RN
        )

    return resampled(clusters, of_both, seed)


def resampled(
    clusters: Sequence[Cluster], statistic: Callable[[Floats], Floats], seed: int = 0
) -> dict[str, float]:
    """Return a statistic of weighted rows with the central 95 % of its values over resamples.

    Resamples in which the statistic is undefined are left out; nothing is returned where it is
    undefined for the rows themselves.

    Args:
        clusters: World and behavior of each row [N].
        statistic: Gives numbers [R] from weights [R, N], which count how often each row is drawn.
        seed: Seed of the draws.
    """
    return summarized(clusters, statistic(weights_of(clusters, seed)))


def weights_of(clusters: Sequence[Cluster], seed: int = 0) -> Floats:
    """Return how often each row is drawn [1 + R, N]: once in the first, then in each resample."""
    listed = sorted(set(clusters))
    place = {cluster: at for at, cluster in enumerate(listed)}
    counts_RN = drawn(listed, seed)[:, [place[cluster] for cluster in clusters]]
    return np.vstack([np.ones((1, len(clusters))), counts_RN])


def summarized(clusters: Sequence[Cluster], values_R: Floats) -> dict[str, float]:
    """Return the first of a statistic's values, with the central 95 % of the others."""
    value, resamples_R = float(values_R[0]), values_R[1:]
    if np.isnan(value):
        return {}
    low, high = percentile_limits(resamples_R[~np.isnan(resamples_R)])
    return {
        "value": round(value, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "of": len(clusters),
        "behaviors": len(set(clusters)),
        "worlds": len({world for world, _ in clusters}),
    }


def drawn(listed: Sequence[Cluster], seed: int) -> NDArray[np.int64]:
    """Return how often each behavior is in each resample [R, C].

    As many worlds as there are are drawn with replacement, and for each draw of a world as many of
    its behaviors as it has.
    """
    rng = np.random.default_rng(seed)
    worlds = sorted({world for world, _ in listed})
    times_RW = rng.multinomial(len(worlds), [1 / len(worlds)] * len(worlds), size=RESAMPLES)
    counts_RC = np.zeros((RESAMPLES, len(listed)), dtype=np.int64)
    for place, world in enumerate(worlds):
        own = [at for at, (of, _) in enumerate(listed) if of == world]
        even = [1 / len(own)] * len(own)
        counts_RC[:, own] = rng.multinomial(times_RW[:, place] * len(own), even)
    return counts_RC


def rank_correlations(one_MN: ArrayLike, two_N: ArrayLike, weight_N: Floats) -> Floats:
    """Return Spearman's rank correlations [M] of rows that count as often as their weights say.

    Ties share their mean rank. NaN where either is constant, or nothing is drawn.
    """
    times_N = weight_N.astype(np.int64)
    one, two = (np.repeat(np.asarray(each), times_N, axis=-1) for each in (one_MN, two_N))
    if not times_N.any():
        return np.full(len(one), np.nan)
    one, two = (rankdata(each, axis=-1) - (times_N.sum() + 1) / 2 for each in (one, two))
    with np.errstate(invalid="ignore"):
        found: Floats = one @ two / np.sqrt((one**2).sum(-1) * (two @ two))
    return found


def answered_share(one: float, other: float) -> float:
    """Return the first of two teachers' share of their nats; half where neither has any."""
    first, second = max(one, 0.0), max(other, 0.0)
    return first / (first + second) if first + second else 0.5


def _arrays(rows: Sequence[JudgedAnswer]) -> tuple[Floats, Floats]:
    right = np.array([row.right for row in rows], dtype=np.float64)
    return right, np.array([row.probability for row in rows], dtype=np.float64)
