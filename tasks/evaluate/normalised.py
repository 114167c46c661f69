"""The normalized score: the share of the teacher's gain over the fork point that a method reaches.

(method - fork point) / (teacher - fork point): 0 is the fork point, 1 the teacher of the domain.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tasks.statistics import (
    RESAMPLES,
    Samples,
    bootstrap_means,
    paired_difference,
    percentile_limits,
    prompt_means,
)


class Normalised(BaseModel):
    """A normalized score with its 95 % interval, or the reason why it is missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float | None
    low: float | None
    high: float | None
    n: int
    """Number of prompts behind it."""
    reason: str = ""
    """Reason for a missing score, or the domains that the overall mean leaves out."""


@dataclass(frozen=True)
class Bootstrap:
    """The normalized score of every method in one domain, with its resampled values."""

    n: int
    refusal: str = ""
    """Reason for a missing normalized score; then the mappings are empty."""
    estimates: Mapping[str, float] = field(default_factory=dict)
    resampled: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def bootstrap(
    fork: Samples,
    teacher: Samples,
    methods: Mapping[str, Samples],
    seed: Sequence[int],
    *,
    resamples: int = RESAMPLES,
) -> Bootstrap:
    """Resample the prompts of one domain and recompute each method's normalized score.

    One draw of n prompts with replacement serves all methods. The teacher's gain must be
    distinguishable from 0 (its paired interval lies above 0): otherwise the ratio has no finite
    interval (Fieller 1954) and the domain is refused with a reason.
    """
    gain = paired_difference(teacher, fork)
    if gain.low <= 0:
        return Bootstrap(
            n=gain.n,
            refusal=(
                f"the teacher's gain over the fork point, {gain.mean:+.3f} [{gain.low:+.3f}, "
                f"{gain.high:+.3f}], is not above 0, so a share of it is not defined"
            ),
        )
    start = prompt_means(fork)
    gains = _differences(teacher, start)
    rises = {name: _differences(samples, start) for name, samples in methods.items()}
    gain_R, *rises_R = bootstrap_means([gains, *rises.values()], seed, resamples=resamples)
    return Bootstrap(
        n=gain.n,
        estimates={name: math.fsum(rise) / math.fsum(gains) for name, rise in rises.items()},
        resampled={name: _ratio(row, gain_R) for name, row in zip(rises, rises_R, strict=True)},
    )


def domain_score(domain: Bootstrap, method: str) -> Normalised:
    """Return one method's normalized score in one domain."""
    if domain.refusal:
        return Normalised(mean=None, low=None, high=None, n=domain.n, reason=domain.refusal)
    return _percentiles(domain.estimates[method], domain.resampled[method], domain.n)


def overall_score(domains: Mapping[str, Bootstrap], method: str) -> Normalised:
    """Return the mean of one method's normalized scores over the domains that have one.

    Domains are resampled independently, so resample r of the mean is the mean of the domains'
    resamples r. Domains without a normalized score are named in ``reason``.
    """
    kept = {name: each for name, each in domains.items() if not each.refusal}
    left_out = [name for name in domains if name not in kept]
    reason = ""
    if left_out:
        reason = f"without {', '.join(left_out)}: the teacher's gain there is not above 0"
    if not kept:
        total = sum(each.n for each in domains.values())
        return Normalised(mean=None, low=None, high=None, n=total, reason=reason)
    estimate = sum(each.estimates[method] for each in kept.values()) / len(kept)
    average_R = _average([each.resampled[method] for each in kept.values()])
    score = _percentiles(estimate, average_R, sum(each.n for each in kept.values()))
    return score.model_copy(update={"reason": reason}) if reason and not score.reason else score


def _differences(samples: Samples, start: Sequence[float]) -> list[float]:
    return [after - before for after, before in zip(prompt_means(samples), start, strict=True)]


def _ratio(rise_R: NDArray[np.float64], gain_R: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rise / gain; a resample without a gain of the teacher gives an infinite share."""
    far_R = np.where(rise_R == 0, 0.0, np.copysign(np.inf, rise_R))
    return np.divide(rise_R, gain_R, out=far_R, where=gain_R > 0)


def _average(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        mean_R = np.mean(rows, axis=0)
    # Infinities of both signs in one resample leave no number; it still counts as a far one.
    return np.where(np.isnan(mean_R), np.inf, mean_R)


def _percentiles(estimate: float, values_R: NDArray[np.float64], n: int) -> Normalised:
    low, high = percentile_limits(values_R)
    if not (math.isfinite(low) and math.isfinite(high)):
        return Normalised(
            mean=None,
            low=None,
            high=None,
            n=n,
            reason="the teacher's gain over the fork point is too small relative to its noise for "
            "a finite interval of a share: evaluate on more prompts",
        )
    # A skewed resample can put the estimate itself outside; the interval then reaches to it.
    return Normalised(mean=estimate, low=min(low, estimate), high=max(high, estimate), n=n)
