"""Statistics that several benchmarks report."""

import math
import statistics
from collections.abc import Sequence

from scipy import stats


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


def auc(scored: Sequence[tuple[float, bool]]) -> float:
    """Return the chance that a positive scores above a negative, ties counting half.

    NaN where either is missing.
    """
    positive = [score for score, is_positive in scored if is_positive]
    negative = [score for score, is_positive in scored if not is_positive]
    if not positive or not negative:
        return math.nan
    wins = stats.mannwhitneyu(positive, negative).statistic
    return float(wins) / (len(positive) * len(negative))


def ratio_within_rounds(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the median over rounds of the ratio within a round, to three digits."""
    return round(statistics.median(a / b for a, b in zip(one, other, strict=True)), 3)
