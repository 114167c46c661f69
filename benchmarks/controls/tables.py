"""The figures of the comparison, from the raw rows of all seeds.

A method's normalized score in a domain is (method - fork point) / (teacher - fork point), with the
means of one seed. Its interval is Student's over seeds. The difference to MOPD is taken prompt by
prompt and seed by seed, and its interval is over both.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.common.shares import Rows, score
from tasks.evaluate.scores import FORK_POINT, STUDENT, TEACHER
from tasks.statistics import mean_of_domains, paired_difference, t_half_width

_LEAST_SEEDS = 2


def methods_of(seeds: Sequence[Rows]) -> list[str]:
    """Return the methods that every seed has, the student first, without what frames the scale."""
    shared = set.intersection(*(set(rows) for rows in seeds)) - {FORK_POINT, TEACHER, STUDENT}
    return [STUDENT, *sorted(shared)]


def normalized(rows: Rows, method: str, domain: str) -> float:
    """Return the share of the teacher's gain that a method has in a domain."""
    start, teacher = (score(rows, name, domain) for name in (FORK_POINT, TEACHER))
    return (score(rows, method, domain) - start) / (teacher - start)


def summary(seeds: Sequence[Rows], costs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return for each method: scores by domain, normalized score, difference to MOPD, cost."""
    domains = sorted(seeds[0][STUDENT])
    return {
        method: {
            "scores": {
                name: round(fmean(score(rows, method, name) for rows in seeds), 4)
                for name in domains
            },
            "normalized": _over_seeds(
                [fmean(normalized(rows, method, name) for name in domains) for rows in seeds]
            ),
            "less_than_mopd": _difference(seeds, method, domains),
            "cost": {
                name: round(fmean(float(each[method][name]) for each in costs), 1)
                for name in ("tokens_sampled", "tokens_trained", "processor_seconds")
            },
        }
        for method in methods_of(seeds)
    }


def judged(
    predictions: Sequence[Mapping[str, Any]], found: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return for each prediction whether the normalized score lies within it."""
    rows = []
    for each in predictions:
        low, high = each["normalized"]
        value = found[each["method"]]["normalized"]["mean"]
        rows.append({**each, "found": value, "holds": low <= value <= high})
    return rows


def _over_seeds(values: Sequence[float]) -> dict[str, float]:
    mean = fmean(values)
    if len(values) < _LEAST_SEEDS:
        return {"mean": round(mean, 4), "seeds": len(values)}
    half = t_half_width(values)
    limits = {"low": round(mean - half, 4), "high": round(mean + half, 4)}
    return {"mean": round(mean, 4), **limits, "seeds": len(values)}


def _difference(seeds: Sequence[Rows], method: str, domains: Sequence[str]) -> dict[str, float]:
    """Return the student's score less the method's, over prompts and seeds; domains weigh alike."""
    found = mean_of_domains(
        [
            paired_difference(_samples(seeds, STUDENT, name), _samples(seeds, method, name))
            for name in domains
        ]
    )
    numbers = {"mean": found.mean, "low": found.low, "high": found.high}
    return {name: round(value, 4) for name, value in numbers.items()}


def _samples(seeds: Sequence[Rows], method: str, domain: str) -> list[list[float]]:
    return [
        [float(value) for value in each["scores"]]
        for rows in seeds
        for each in sorted(rows[method][domain], key=lambda row: str(row["prompt"]))
    ]
