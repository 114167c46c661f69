"""What share of its teachers' gain a method has, and how far MOPD is ahead, from raw rows of seeds.

A method's normalized score is the mean over domains of (method - fork point), divided by the mean
over domains of (teacher - fork point): domains in which a teacher gained little cannot dominate.
The lead of MOPD over a method is the difference of their normalized scores. Both have 95 %
intervals of a bootstrap in two stages: seeds first, then prompts within each seed and domain, the
same prompts for all methods. With two seeds it understates what a third seed could change.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate.scores import FORK_POINT, STUDENT, TEACHER
from tasks.statistics import RESAMPLES, bootstrap_means, percentile_limits

Rows = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
"""Method to domain to outcomes, of one seed."""
Case = Mapping[str, Any]
"""Figures of one seed: ``rows``, and by method ``costs``; ``budgets`` where a method was not
trained beside the case's own student."""
EQUAL = 0.1
"""Largest relative difference of processor time that counts as equal."""
_COSTS = ("tokens_sampled", "tokens_trained", "processor_seconds")


def score(rows: Rows, method: str, domain: str) -> float:
    """Return the mean score of a method in a domain."""
    return fmean(fmean(each["scores"]) for each in rows[method][domain])


def mean_score(rows: Rows, method: str) -> float:
    """Return the mean score of a method over domains."""
    return fmean(score(rows, method, domain) for domain in rows[method])


def methods_of(seeds: Sequence[Rows]) -> list[str]:
    """Return the methods that any seed has, the student first, without what frames the scale."""
    found = {method for rows in seeds for method in rows} - {FORK_POINT, TEACHER, STUDENT}
    return [STUDENT, *sorted(found)]


def gain(seeds: Sequence[Rows]) -> float:
    """Return what the teachers gained over the fork point, in the mean over seeds and domains."""
    return fmean(mean_score(rows, TEACHER) - mean_score(rows, FORK_POINT) for rows in seeds)


def shares(
    cases: Sequence[Case], methods: Sequence[str], resamples: int = RESAMPLES
) -> dict[str, dict[str, Any]]:
    """Return for each method: normalized score, lead of MOPD over it, cost and time.

    Empty where a resample leaves the teachers without a gain: there is no share of it.

    Args:
        cases: The seeds that have all of the methods.
        methods: The student first.
        resamples: Resamples of the bootstrap.
    """
    seeds: list[Rows] = [case["rows"] for case in cases]
    framed = [FORK_POINT, TEACHER, *methods]
    means_MS = np.array([[mean_score(rows, method) for rows in seeds] for method in framed])
    drawn_MR = _resampled(seeds, framed, resamples)
    if (drawn_MR[1] <= drawn_MR[0]).any():
        return {}
    values_M, values_MR = _normalized(means_MS.mean(axis=1)), _normalized(drawn_MR)
    by_seed_MS = _normalized(means_MS)
    return {
        method: {
            "normalized": _with_limits(values_M[place], values_MR[place]),
            "by_seed": [round(float(value), 4) for value in by_seed_MS[place]],
            "mopd_lead": _with_limits(
                values_M[0] - values_M[place], values_MR[0] - values_MR[place]
            ),
            **_cost(cases, method),
        }
        for place, method in enumerate(methods)
    }


def _cost(cases: Sequence[Case], method: str) -> dict[str, Any]:
    """Return what a method took in the mean, and its share of MOPD's time in each seed.

    Nothing for a method that was not made after the teachers, such as a teacher itself.
    """
    costs = [case["costs"].get(method) for case in cases]
    if None in costs:
        return {}
    budgets = [case.get("budgets", {}).get(method, case["costs"][STUDENT]) for case in cases]
    seconds, allowed = (
        [float(cost["processor_seconds"]) for cost in each] for each in (costs, budgets)
    )
    return {
        "cost": {name: round(fmean(float(cost[name]) for cost in costs), 1) for name in _COSTS},
        "time_of_mopd": [round(one / of, 3) for one, of in zip(seconds, allowed, strict=True)],
    }


def is_equal_time(figures: Mapping[str, Any]) -> bool:
    """Return whether a method took the time of MOPD in each seed, within ``EQUAL``."""
    return all(abs(share - 1) <= EQUAL for share in figures["time_of_mopd"])


def _normalized(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return normalized scores of the methods behind fork point and teacher."""
    found: NDArray[np.float64] = (means[2:] - means[0]) / (means[1] - means[0])
    return found


def _resampled(
    seeds: Sequence[Rows], methods: Sequence[str], resamples: int
) -> NDArray[np.float64]:
    """Return the methods' means over resampled seeds and prompts, as [methods, resamples]."""
    slots = range(len(seeds))
    chosen_SR = np.random.default_rng(0).integers(len(seeds), size=(len(seeds), resamples))
    total_MR = np.zeros((len(methods), resamples))
    for slot in slots:
        of_seeds_SMR = np.stack(
            [_prompts_resampled(seeds[seed], methods, (slot, seed), resamples) for seed in slots]
        )
        chosen_R = chosen_SR[slot]
        total_MR += of_seeds_SMR[chosen_R, :, np.arange(resamples)].T
    return total_MR / len(seeds)


def _prompts_resampled(
    rows: Rows, methods: Sequence[str], at: tuple[int, int], resamples: int
) -> NDArray[np.float64]:
    """Return the methods' means over domains of one seed's resampled prompts."""
    domains = sorted(rows[STUDENT])
    drawn = [
        bootstrap_means(
            [_by_prompt(rows, method, domain) for method in methods],
            (*at, place),
            resamples=resamples,
        )
        for place, domain in enumerate(domains)
    ]
    return np.asarray(np.mean(drawn, axis=0), dtype=np.float64)


def _by_prompt(rows: Rows, method: str, domain: str) -> list[float]:
    ordered = sorted(rows[method][domain], key=lambda row: str(row["prompt"]))
    return [fmean(row["scores"]) for row in ordered]


def _with_limits(value: float, values_R: NDArray[np.float64]) -> dict[str, float]:
    low, high = percentile_limits(values_R)
    # A skewed resample can put the estimate itself outside; the interval then reaches to it.
    numbers = {"mean": value, "low": min(low, value), "high": max(high, value)}
    return {name: round(float(number), 4) for name, number in numbers.items()}
