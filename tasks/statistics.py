"""Means with 95 % intervals: Wilson, Student's t and the paired bootstrap, from scipy.

Of scores the unit is always the prompt: several samples of one prompt are not independent, so each
prompt enters by the mean of its samples. ``n`` counts prompts, never samples.

Shapes: K rows that are resampled together, N units, R resamples.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict
from scipy import special

from tasks.contracts.refusal import RefusedError

LEVEL = 0.95
"""The confidence of every interval, two-sided."""

Z = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
"""The 97.5 % quantile of the standard normal."""

RESAMPLES = 2_000
"""Resamples of the bootstrap, so that the 2.5 % tail rests on 50 of them."""

_NUMBERS_AT_ONCE = 4_000_000
"""Numbers that the bootstrap holds in memory at a time."""

UNIT = (0.0, 1.0)
"""The range of a score."""

Samples = Sequence[Sequence[float]]
"""Scores of the samples of each prompt."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval, over ``n`` prompts."""

    mean: float
    low: float
    high: float
    n: int

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        """Refuse a mean outside its interval; NaN fails here too."""
        slack = 1e-9  # a mean at a bound may differ from it by rounding
        if not self.low - slack <= self.mean <= self.high + slack or self.n < 1:
            raise RefusedError(
                "not-an-interval",
                f"mean {self.mean!r} with interval [{self.low!r}, {self.high!r}] over {self.n} "
                "prompts is not an interval: pass low <= mean <= high and at least one prompt",
            )

    def excludes(self, value: float) -> bool:
        """Return whether the interval leaves ``value`` out."""
        return not self.low <= value <= self.high


def wilson(successes: int, n: int) -> Interval:
    """Return the Wilson score interval for ``successes`` out of ``n`` independent 0/1 outcomes.

    Wilson (1927), J. Am. Stat. Assoc. 22:209, recommended by Brown, Cai and DasGupta (2001),
    Statistical Science 16:101.
    """
    if n < 1 or not 0 <= successes <= n:
        raise RefusedError(
            "not-a-proportion",
            f"{successes} successes of {n} is not a proportion: pass 0 <= successes <= n and "
            "n >= 1",
        )
    from scipy import stats  # noqa: PLC0415 - half a second, and most steps never need it

    limits = stats.binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return Interval(successes / n, float(limits.low), float(limits.high), n)


def t_half_width(values: Sequence[float]) -> float:
    """Return half the width of Student's t interval for the mean of at least two values."""
    count = len(values)
    quantile = float(special.stdtrit(count - 1, (1 + LEVEL) / 2))
    return quantile * statistics.stdev(values) / math.sqrt(count)


def bootstrap_means(
    rows_KN: ArrayLike, seed: int | Sequence[int], *, resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Return the means [K, R] of rows over resampled units, the same units for every row.

    Paired bootstrap (Efron and Tibshirani 1993, chapters 8 and 13): what the units have in common
    cancels in a comparison of two rows. The same seed gives the same resamples.

    Args:
        rows_KN: At least two units, else scipy refuses with ``ValueError``.
        seed: Seed of the random generator.
        resamples: Number of resamples R.
    """
    from scipy import stats  # noqa: PLC0415 - as above

    rows = np.asarray(rows_KN, dtype=np.float64)

    def means(*drawn: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.stack([np.mean(row, axis=axis) for row in drawn])

    drawn = stats.bootstrap(
        tuple(rows),
        means,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _NUMBERS_AT_ONCE // rows.size),
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return np.asarray(drawn.bootstrap_distribution, dtype=np.float64)


def percentile_limits(values_R: ArrayLike) -> tuple[float, float]:
    """Return the limits of the central 95 % of resampled values.

    Infinite values are allowed; a limit among them is infinite or NaN.
    """
    tail = (1 - LEVEL) / 2
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(np.asarray(values_R, dtype=np.float64), [tail, 1 - tail])
    return float(low), float(high)


def mean_interval(samples: Samples) -> Interval:
    """Return the mean score over prompts, each score in [0, 1].

    Wilson when every prompt has one sample and each is 0 or 1; otherwise the interval of
    ``clustered_interval``. A prompt with no sample is refused.
    """
    _refuse_out_of_range(samples)
    if all(len(scores) == 1 and scores[0] in UNIT for scores in samples):
        return wilson(int(sum(scores[0] for scores in samples)), len(samples))
    return clustered_interval(prompt_means(samples), UNIT)


def clustered_interval(values: Sequence[float], bounds: tuple[float, float]) -> Interval:
    """Return mean -+ t s / sqrt(n) for one value of each prompt, cut to ``bounds``.

    Miller (2024), arXiv 2411.00640, section 2.2: with samples clustered by prompt, the squared
    standard error is sum over prompts of (sum over its samples of (score - mean))^2, over the
    squared number of samples. With the same number of samples for every prompt this is the
    variance of the prompt means over n; s^2 divides by n - 1 as cluster-robust software does
    (G / (G - 1) for G clusters), and t with n - 1 degrees replaces 1.96.

    Where all prompts agree, s = 0 would claim certainty. Then at most a share w = z^2 / (n + z^2)
    of unseen prompts differs (Wilson's upper limit for 0 of n) and each of these may lie anywhere
    within ``bounds``: at value 1 this is Wilson's interval for n of n.
    """
    count = len(values)
    mean = math.fsum(values) / count
    low_bound, high_bound = bounds
    if max(values) == min(values):
        mean = values[0]
        share = Z**2 / (count + Z**2)
        low, high = mean - share * (mean - low_bound), mean + share * (high_bound - mean)
        return Interval(mean, low, high, count)
    half = t_half_width(values)
    return Interval(mean, max(low_bound, mean - half), min(high_bound, mean + half), count)


def paired_difference(first: Samples, second: Samples) -> Interval:
    """Return the mean of first - second over the same prompts, given in the same order.

    Miller (2024), section 4.1: the spread of the per-prompt differences leaves out what the
    prompts' difficulty adds to both, so this is narrower than two separate intervals suggest.
    """
    if len(first) != len(second):
        raise RefusedError(
            "unpaired-prompts",
            f"{len(first)} prompts against {len(second)}: a paired difference needs the same "
            "prompts on both sides; evaluate both methods on one evaluation set",
        )
    _refuse_out_of_range(first)
    _refuse_out_of_range(second)
    pairs = zip(prompt_means(first), prompt_means(second), strict=True)
    return clustered_interval([one - other for one, other in pairs], (-1.0, 1.0))


def mean_of_domains(intervals: Sequence[Interval]) -> Interval:
    """Return the unweighted mean over domains with independent prompts.

    The variance of a mean of D domains is the sum of their variances over D^2. Each variance is
    recovered from its interval (Zou and Donner 2008, Statistics in Medicine 27:1693):

        low = mean - sqrt(sum (mean_d - low_d)^2) / D,  high likewise.

    For symmetric intervals this is the stratified standard error; for Wilson's it keeps the
    asymmetry near 0 and 1. ``n`` is the total number of prompts.
    """
    if not intervals:
        raise RefusedError(
            "no-domains", "the list of domains to average is empty: evaluate at least one"
        )
    count = len(intervals)
    mean = math.fsum(interval.mean for interval in intervals) / count
    below = math.sqrt(math.fsum((each.mean - each.low) ** 2 for each in intervals)) / count
    above = math.sqrt(math.fsum((each.high - each.mean) ** 2 for each in intervals)) / count
    return Interval(mean, mean - below, mean + above, sum(each.n for each in intervals))


def prompt_means(samples: Samples) -> list[float]:
    """Return the mean score of each prompt."""
    return [math.fsum(scores) / len(scores) for scores in samples]


def passed(samples: Samples, thresholds: Mapping[str, float], domain: str) -> Samples:
    """Return 1 for each score at or above the domain's threshold and 0 below it.

    A domain without a threshold keeps its fractional scores.
    """
    if domain not in thresholds:
        return samples
    bar = thresholds[domain]
    return [[float(score >= bar) for score in scores] for scores in samples]


def _refuse_out_of_range(samples: Samples) -> None:
    if not samples or not all(len(scores) > 0 for scores in samples):
        raise RefusedError(
            "no-scores",
            "the list of scores to average is empty: every evaluation needs prompts, and every "
            "prompt a sample",
        )
    for scores in samples:
        for score in scores:
            if not 0.0 <= score <= 1.0:  # also refuses NaN
                raise RefusedError(
                    "score-out-of-range",
                    f"score {score!r} is not between 0 and 1: scale it in the environment's "
                    "grade()",
                )
