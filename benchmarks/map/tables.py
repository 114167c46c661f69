"""The figures of the map, from the raw rows of its cases.

A method's normalized score is the mean over domains of (method - fork point), divided by the mean
over domains of (teacher - fork point): domains in which a teacher gained little cannot dominate.
The lead of MOPD over a method is the difference of their normalized scores. Both have 95 %
intervals of a bootstrap in two stages: seeds first, then prompts within each seed and domain, the
same prompts for all methods. With two seeds it understates what a third seed could change.
"""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.controls.tables import Rows, methods_of, score
from benchmarks.map.points import AXES, CENTER, COMPARED, LADDER, name_of
from tasks.evaluate.scores import FORK_POINT, STUDENT, TEACHER
from tasks.statistics import RESAMPLES, bootstrap_means, percentile_limits

PREDICTIONS = Path(__file__).with_name("predictions.json")
EQUAL = 0.1
"""Largest relative difference of processor time that counts as equal."""
Case = Mapping[str, Any]
"""Figures of one case, as ``run_case`` returns them."""
Found = Mapping[str, Mapping[str, Any]]
"""Figures of a point by method."""


def point_figures(cases: Sequence[Case], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Return for each method of a point: normalized score, lead of MOPD over it, cost.

    ``cases`` are those of its seeds. Where a resample leaves the teachers without a gain, there are
    no methods.
    """
    seeds: list[Rows] = [case["rows"] for case in cases]
    methods = methods_of(seeds)
    told = [FORK_POINT, TEACHER, *methods]
    means_MS = np.array([[_mean(rows, method) for rows in seeds] for method in told])
    drawn_MR = _resampled(seeds, told, resamples)
    found: dict[str, Any] = {}
    known = {"seeds": len(seeds), "gain": round(_gain(means_MS), 4), "methods": found}
    if (drawn_MR[1] <= drawn_MR[0]).any():
        return known  # teachers that may have gained nothing: there is no share of it
    values_M, values_MR = _normalized(means_MS.mean(axis=1)), _normalized(drawn_MR)
    for place, method in enumerate(methods):
        costs = [case["costs"][method] for case in cases]
        own = [case["costs"][STUDENT]["processor_seconds"] for case in cases]
        seconds = [float(cost["processor_seconds"]) for cost in costs]
        found[method] = {
            "normalized": _with_limits(values_M[place], values_MR[place]),
            "by_seed": [round(float(value), 4) for value in _normalized(means_MS)[place]],
            "mopd_lead": _with_limits(
                values_M[0] - values_M[place], values_MR[0] - values_MR[place]
            ),
            "cost": {
                name: round(fmean(float(cost[name]) for cost in costs), 1)
                for name in ("tokens_sampled", "tokens_trained", "processor_seconds")
            },
            "time_of_mopd": [round(s / float(m), 3) for s, m in zip(seconds, own, strict=True)],
        }
    return known


def _mean(rows: Rows, method: str) -> float:
    return fmean(score(rows, method, domain) for domain in rows[method])


def _gain(means_MS: NDArray[np.float64]) -> float:
    start, teacher = means_MS[:2].mean(axis=1)
    return float(teacher - start)


def _normalized(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return normalized scores of the methods behind fork point and teacher."""
    shares: NDArray[np.float64] = (means[2:] - means[0]) / (means[1] - means[0])
    return shares


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


def equal_time(figures: Mapping[str, Any]) -> bool:
    """Return whether every control of a point took the time of MOPD, in each seed."""
    rows = figures["methods"].values()
    return all(abs(share - 1) <= EQUAL for row in rows for share in row["time_of_mopd"])


def winner(methods: Found) -> dict[str, Any]:
    """Return the best method of a point, and whether MOPD's intervals say so."""
    best = max(COMPARED, key=lambda name: float(methods[name]["normalized"]["mean"]))
    others = [name for name in COMPARED if name != STUDENT]
    leads = {name: methods[name]["mopd_lead"] for name in others}
    if best == STUDENT:
        is_clear = all(lead["low"] > 0 for lead in leads.values())
    else:
        is_clear = leads[best]["high"] < 0
    return {"winner": best, "is_clear": is_clear}


def direction(ends: Sequence[Mapping[str, float]]) -> str:
    """Return whether a lead rises or falls from the first to the last value of an axis.

    The interval of the difference is that of independent means (Zou and Donner 2008). Points share
    some teachers, which only makes it wider than need be.
    """
    first, last = ends
    change = last["mean"] - first["mean"]
    below = math.hypot(last["mean"] - last["low"], first["high"] - first["mean"])
    above = math.hypot(last["high"] - last["mean"], first["mean"] - first["low"])
    if change - below > 0:
        return "rises"
    return "falls" if change + above < 0 else "unclear"


def courses(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return MOPD's lead along each axis that is complete, over each control."""
    rows = []
    for axis, values in AXES.items():
        names = [name_of(axis, value) for value in values]
        if not set(names) <= set(found):
            continue
        for other in COMPARED[1:]:
            leads = [found[name]["methods"][other]["mopd_lead"] for name in names]
            means = [lead["mean"] for lead in leads]
            rows.append(
                {
                    "axis": axis,
                    "against": other,
                    "leads": means,
                    "lead": direction((leads[0], leads[-1])),
                    "is_monotone": len({one < other for one, other in pairwise(means)}) == 1,
                }
            )
    return rows


def predicted() -> dict[str, Any]:
    """Return the predictions with nothing found."""
    return judged(json.loads(PREDICTIONS.read_text("utf-8")), {})


def judged(predictions: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return each prediction with what was found; None where it has not run, or is not clear."""
    points = []
    for each in predictions["points"]:
        if each["point"] in found:
            won = winner(found[each["point"]]["methods"])
            points.append(
                {**each, "found": won["winner"], "is_clear": won["is_clear"]}
                | {"holds": each["winner"] == won["winner"] if won["is_clear"] else None}
            )
        else:
            points.append({**each, "found": None, "is_clear": None, "holds": None})
    known = {(row["axis"], row["against"]): row["lead"] for row in courses(found)}
    axes = []
    for each in predictions["axes"]:
        lead = known.get((each["axis"], each["against"]))
        holds = None if lead in {None, "unclear"} else lead == each["lead"]
        axes.append({**each, "found": lead, "holds": holds})
    return {"points": points, "axes": axes, "ladder": _ladder(predictions["ladder"], found)}


def _ladder(prediction: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    row = found.get(CENTER, {}).get("methods", {}).get(LADDER)
    if row is None:
        return {**prediction, "found": None, "holds": None}
    lead = row["mopd_lead"]
    is_clear = lead["low"] > 0 or lead["high"] < 0
    best = STUDENT if lead["mean"] > 0 else LADDER
    holds = best == prediction["winner"] if is_clear else None
    return {**prediction, "found": best, "holds": holds}
