"""Statistics that several benchmarks report."""

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from tasks.statistics import RESAMPLES, Z, percentile_limits

Scored = Sequence[tuple[float, bool]]
"""Scores of cases, with whether each is a positive."""


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median and quartiles of at least two numbers, to four digits."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        name: float(f"{value:.4g}")
        for name, value in (("median", middle), ("lower", low), ("upper", high))
    }


def rank_correlation(one: Sequence[float], two: Sequence[float]) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank; NaN for a constant."""
    if len(set(one)) < 2 or len(set(two)) < 2:
        return math.nan
    return float(stats.spearmanr(one, two).statistic)


def auc(scored: Scored) -> float:
    """Return the chance that a positive scores above a negative, ties counting half.

    NaN where either is missing.
    """
    positive = [score for score, is_positive in scored if is_positive]
    negative = [score for score, is_positive in scored if not is_positive]
    if not positive or not negative:
        return math.nan
    wins = stats.mannwhitneyu(positive, negative).statistic
    return float(wins) / (len(positive) * len(negative))


def auc_interval(scored: Scored) -> tuple[float, float]:
    """Return the 95 % interval of ``auc``; NaN where either class is missing.

    Newcombe (2006), Statistics in Medicine 25:559, method 5: as Wilson's interval, it holds the
    values from which the estimate is at most 1.96 of their own standard errors away, so it is not
    empty where every pair is in order. The standard error is that of Hanley and McNeil (1982) for
    exponential scores, with both classes of the mean size.
    """
    found = auc(scored)
    if math.isnan(found):
        return math.nan, math.nan
    positive = sum(is_positive for _, is_positive in scored)
    negative = len(scored) - positive

    def beyond(value: float) -> float:
        """Return how far the estimate is outside of what a value allows, at 95 %."""
        more = (positive + negative) / 2 - 1
        spread = 1 + more * (1 - value) / (2 - value) + more * value / (1 + value)
        variance = value * (1 - value) * spread / (positive * negative)
        return abs(found - value) - Z * math.sqrt(variance)

    low = 0.0 if found == 0 else _crossing(beyond, 0.0, found)
    high = 1.0 if found == 1 else _crossing(beyond, 1.0, found)
    return low, high


def _crossing(beyond: Callable[[float], float], outer: float, inner: float) -> float:
    """Return where a value begins to be allowed, between one that is not and the estimate."""
    if inner in {0.0, 1.0}:
        inner += math.copysign(1e-9, outer - inner)  # the variance is 0 at the bound itself
    return float(optimize.brentq(beyond, outer, inner, xtol=1e-9))


def auc_difference(one: Scored, other: Scored, seed: int) -> tuple[float, float, float]:
    """Return the difference of two AUCs of the same cases with its 95 % bootstrap interval.

    Positives and negatives are resampled apart, and each resample has the same cases for both.
    NaN where either class is missing.

    Raises:
        ValueError: for other cases, or for cases that are positive in one and not in the other.
    """
    labels = [is_positive for _, is_positive in one]
    if labels != [is_positive for _, is_positive in other]:
        raise ValueError("two predictors must be compared on the same cases in the same order")
    difference_PN = _in_order(one) - _in_order(other)
    if not difference_PN.size:
        return math.nan, math.nan, math.nan
    # How often each case is drawn: a resample's AUC is a weighted mean over pairs.
    rng = np.random.default_rng(seed)
    drawn = [
        rng.multinomial(count, [1 / count] * count, size=RESAMPLES) / count
        for count in difference_PN.shape
    ]
    values_R = np.einsum("rp,pn,rn->r", drawn[0], difference_PN, drawn[1], optimize=True)
    low, high = percentile_limits(values_R)
    return float(difference_PN.mean()), low, high


def _in_order(scored: Scored) -> NDArray[np.float64]:
    """Return for each pair 1 where the positive scores above the negative, and a half for ties."""
    positive = np.array([score for score, is_positive in scored if is_positive])[:, None]
    negative = np.array([score for score, is_positive in scored if not is_positive])[None, :]
    above: NDArray[np.float64] = (positive > negative) + 0.5 * (positive == negative)
    return above


def ratio_of_sums(
    over: Sequence[float], under: Sequence[float], seed: int
) -> tuple[float, float, float]:
    """Return sum(over) / sum(under) with its 95 % bootstrap interval over pairs.

    NaN for no pairs, or where the denominator is 0.
    """
    whole = sum(under)
    if not whole:
        return math.nan, math.nan, math.nan
    rng, count = np.random.default_rng(seed), len(under)
    drawn_RN = rng.integers(count, size=(RESAMPLES, count))
    sums = [np.asarray(values, dtype=np.float64)[drawn_RN].sum(1) for values in (over, under)]
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = percentile_limits(sums[0] / sums[1])
    return sum(over) / whole, low, high


def ratio_within_rounds(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the median over rounds of the ratio within a round, to three digits."""
    return round(statistics.median(a / b for a, b in zip(one, other, strict=True)), 3)
