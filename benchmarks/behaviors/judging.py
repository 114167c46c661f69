"""How right answers are, and how well their probabilities say so.

Intervals are bootstraps over behaviors: the four forms of a behavior are one draw.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks.common.statistics import rank_correlation

BINS = 10
RESAMPLES = 1000


@dataclass(frozen=True)
class JudgedAnswer:
    """One answer beside the truth."""

    cluster: Hashable
    right: bool
    probability: float


def is_right(named: Sequence[str], truth: Sequence[str]) -> bool:
    """Return whether an answer holds: only teachers that taught it, and none if none did."""
    return bool(set(named) <= set(truth) and bool(named) == bool(truth))


def brier(rows: Sequence[JudgedAnswer]) -> float:
    """Return the mean squared difference of probability and outcome."""
    return fmean((row.probability - row.right) ** 2 for row in rows)


def calibration_error(rows: Sequence[JudgedAnswer], bins: int = BINS) -> float:
    """Return the expected calibration error with bins of equal width.

    The mean over answers of how far the share of right ones in their bin is from the mean
    probability in it.
    """
    return sum(
        len(own) / len(rows) * abs(fmean(r.right for r in own) - fmean(r.probability for r in own))
        for own in binned(rows, bins)
        if own
    )


def binned(rows: Sequence[JudgedAnswer], bins: int = BINS) -> list[list[JudgedAnswer]]:
    """Return the answers by bin; a probability of 1 is in the last."""
    found: list[list[JudgedAnswer]] = [[] for _ in range(bins)]
    for row in rows:
        found[min(int(row.probability * bins), bins - 1)].append(row)
    return found


def diagram(rows: Sequence[JudgedAnswer]) -> list[dict[str, float]]:
    """Return for each bin that has answers: their number, mean probability, and share right."""
    return [
        {
            "of": len(own),
            "probability": round(fmean(row.probability for row in own), 4),
            "right": round(fmean(row.right for row in own), 4),
        }
        for own in binned(rows)
        if own
    ]


def interval(
    rows: Sequence[JudgedAnswer],
    statistic: Callable[[Sequence[JudgedAnswer]], float],
    seed: int = 0,
) -> dict[str, float]:
    """Return a statistic with the central 95 % of its values over resampled clusters."""
    clusters: dict[Hashable, list[JudgedAnswer]] = {}
    for row in rows:
        clusters.setdefault(row.cluster, []).append(row)
    listed, rng = list(clusters.values()), np.random.default_rng(seed)
    values = [
        statistic([row for at in rng.integers(len(listed), size=len(listed)) for row in listed[at]])
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(values, (2.5, 97.5))
    return {
        "value": round(statistic(rows), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "of": len(rows),
        "behaviors": len(listed),
    }


def share_right(rows: Sequence[JudgedAnswer]) -> float:
    """Return the share of right answers."""
    return fmean(row.right for row in rows)


def answered_share(one: float, other: float) -> float:
    """Return the first of two teachers' share of their nats; half where neither has any."""
    first, second = max(one, 0.0), max(other, 0.0)
    return first / (first + second) if first + second else 0.5


def degrees(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the rank correlation of answered and known shares."""
    return rank_correlation([answered for answered, _ in pairs], [known for _, known in pairs])
