"""Means with 95 % intervals, on the standard library alone.

The unit is always the prompt: several samples of one prompt are not independent, so each prompt
enters by the mean of its samples. ``n`` counts prompts, never samples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal: two-sided 95 %."""

UNIT = (0.0, 1.0)
"""The range of a score."""

Samples = Sequence[Sequence[float]]
"""For each prompt, the scores of its samples."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval, over ``n`` prompts."""

    mean: float
    low: float
    high: float
    n: int

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Refuse a mean outside its interval; NaN fails here too."""
        slack = 1e-9  # a mean at a bound may differ from it by rounding
        if not self.low - slack <= self.mean <= self.high + slack or self.n < 1:
            raise ValueError(
                f"mean {self.mean!r} with interval [{self.low!r}, {self.high!r}] over {self.n} "
                "prompts is not an interval: pass low <= mean <= high and at least one prompt"
            )

    def excludes(self, value: float) -> bool:
        """Return whether the interval leaves ``value`` out."""
        return not self.low <= value <= self.high


def wilson(successes: int, n: int) -> Interval:
    """Return the Wilson score interval for ``successes`` out of ``n`` independent 0/1 outcomes.

    Wilson (1927), J. Am. Stat. Assoc. 22:209, recommended by Brown, Cai and DasGupta (2001),
    Statistical Science 16:101. With p = successes / n and z = 1.96, the limits are

        (p + z^2 / 2n  -+  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(
            f"{successes} successes of {n} is not a proportion: pass 0 <= successes <= n and n >= 1"
        )
    share = successes / n
    scale = 1 + Z**2 / n
    centre = (share + Z**2 / (2 * n)) / scale
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / scale
    # At 0 and n the exact limits are 0 and 1; rounding would leave 1e-17 of them.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(share, low, high, n)


def t_quantile(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t.

    Closed forms for 1 and 2 degrees of freedom; otherwise the expansion of Abramowitz and Stegun
    26.7.5 in the normal quantile, right to 0.3 % at 3 degrees and to 1e-4 from 6 on.
    """
    if degrees < 1:
        raise ValueError(f"{degrees} degrees of freedom: a spread needs at least two prompts")
    if degrees == 1:
        return math.tan(math.pi * 0.475)
    if degrees == 2:
        return 0.95 * math.sqrt(2 / (1 - 0.95**2))
    terms = (
        Z,
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    return math.fsum(term / degrees**power for power, term in enumerate(terms))


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
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = t_quantile(count - 1) * math.sqrt(variance / count)
    return Interval(mean, max(low_bound, mean - half), min(high_bound, mean + half), count)


def paired_difference(first: Samples, second: Samples) -> Interval:
    """Return the mean of first - second over the same prompts, given in the same order.

    Miller (2024), section 4.1: the spread of the per-prompt differences leaves out what the
    prompts' difficulty adds to both, so this is narrower than two separate intervals suggest.
    """
    if len(first) != len(second):
        raise ValueError(
            f"{len(first)} prompts against {len(second)}: a paired difference needs the same "
            "prompts on both sides; evaluate both methods on one evaluation set"
        )
    _refuse_out_of_range(first)
    _refuse_out_of_range(second)
    pairs = zip(prompt_means(first), prompt_means(second), strict=True)
    return clustered_interval([one - other for one, other in pairs], (-1.0, 1.0))


def mean_of_domains(intervals: Sequence[Interval]) -> Interval:
    """Return the unweighted mean over domains, whose prompts are independent.

    The variance of a mean of D domains is the sum of their variances over D^2. Each variance is
    recovered from its interval (Zou and Donner 2008, Statistics in Medicine 27:1693):

        low = mean - sqrt(sum (mean_d - low_d)^2) / D,  high likewise.

    For symmetric intervals this is the stratified standard error; for Wilson's it keeps the
    asymmetry near 0 and 1. ``n`` is the total number of prompts.
    """
    if not intervals:
        raise ValueError("no domain to average: evaluate at least one")
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
        raise ValueError(
            "no score to average: every evaluation needs prompts and every prompt a sample"
        )
    for scores in samples:
        for score in scores:
            if not 0.0 <= score <= 1.0:  # also refuses NaN
                raise ValueError(
                    f"score {score!r} is not between 0 and 1: scale it in the environment's grade()"
                )
