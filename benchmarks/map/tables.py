"""The figures of the map, from the raw rows of its cases.

``common.shares`` says what a normalized score, a lead and their intervals are. Here are what is
judged from them: the best method of a point, directions along axes, and the predictions.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.shares import Case, Rows, gain, is_equal_time, mean_score, methods_of, shares
from benchmarks.map.points import (
    AXES,
    CENTER,
    COMPARED,
    LADDER,
    MIX_RL,
    REFERENCE,
    name_of,
    points,
)
from tasks.evaluate.scores import FORK_POINT, STUDENT, TEACHER
from tasks.statistics import RESAMPLES

PREDICTIONS = Path(__file__).with_name("predictions.json")
NOT_COMPARABLE = "not comparable"
"""In the place of a direction, where two ends differ in more than their axis, or not in it."""
Found = Mapping[str, Mapping[str, Any]]
"""Figures of a point by method."""


class OtherForkPointError(Exception):
    """Two cases of one seed began at different fork points, so they share no run."""


def with_mix_rl_of(case: Case, center: Case) -> dict[str, Any]:
    """Return a case with the center's Mix-RL of the same seed, and the time that it was given.

    Raises:
        OtherForkPointError: for a center with another one; its scores on the same prompts differ.
    """
    rows: Rows = case["rows"]
    if rows[FORK_POINT] != center["rows"][FORK_POINT]:
        raise OtherForkPointError(
            "the center of this seed has another fork point, so its Mix-RL is not this case's: run "
            "both at one commit, in one store"
        )
    mix_rl = MIX_RL.value
    return {
        **case,
        "rows": {**rows, mix_rl: center["rows"][mix_rl]},
        "costs": {**case["costs"], mix_rl: center["costs"][mix_rl]},
        "budgets": {mix_rl: center["costs"][STUDENT]},
    }


def point_figures(cases: Sequence[Case], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Return the figures of a point from the cases of its seeds: of its teachers, and by method.

    Where a resample leaves the teachers without a gain, there are no methods.
    """
    seeds: list[Rows] = [case["rows"] for case in cases]
    return {
        "seeds": len(seeds),
        "gain": round(gain(seeds), 4),
        "teacher_error": [round(1 - mean_score(rows, TEACHER), 4) for rows in seeds],
        "methods": shares(cases, methods_of(seeds), resamples),
    }


def equal_time(figures: Mapping[str, Any]) -> bool:
    """Return whether every control of a point took the time of MOPD, in each seed.

    The ladder has three stages, each as long as MOPD, so it is no control of equal time.
    """
    return all(is_equal_time(figures["methods"][method]) for method in COMPARED)


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
    """Return MOPD's lead along each axis that is complete, over each control.

    ``why`` says what keeps the ends from being compared; it is empty where they are.
    """
    rows = []
    for axis, values in AXES.items():
        names = [name_of(axis, value) for value in values]
        if not set(names) <= set(found):
            continue
        first, last = _ends(names, found)
        why = _why_not(axis, first, last, found)
        for other in COMPARED[1:]:
            leads = {name: found[name]["methods"][other]["mopd_lead"] for name in (first, last)}
            rows.append(
                {
                    "axis": axis,
                    "against": other,
                    "ends": [first, last],
                    "leads": [leads[first]["mean"], leads[last]["mean"]],
                    "lead": NOT_COMPARABLE if why else direction((leads[first], leads[last])),
                    "why": why,
                }
            )
    return rows


def _ends(names: Sequence[str], found: Mapping[str, Any]) -> tuple[str, str]:
    """Return the two points that say most about an axis: its ends, or the reference and its end."""
    first, last = names[0], names[-1]
    if points()[last].longer and REFERENCE in found:
        first = REFERENCE
    return first, last


def _why_not(axis: str, first: str, last: str, found: Mapping[str, Any]) -> str:
    """Return why two ends of an axis do not show what it does; empty where they do."""
    if points()[first].longer != points()[last].longer:
        return "fork point"
    if axis == "error":
        errors = [found[name]["teacher_error"] for name in (first, last)]
        if any(one >= other for one, other in zip(*errors, strict=False)):
            return "teachers' error"
    return ""


def predicted() -> dict[str, Any]:
    """Return the predictions with nothing found."""
    return judged(json.loads(PREDICTIONS.read_text("utf-8")), {})


def judged(predictions: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return each prediction with what was found; None where it has not run, or is not clear."""
    at_points = []
    for each in predictions["points"]:
        if each["point"] in found:
            won = winner(found[each["point"]]["methods"])
            at_points.append(
                {**each, "found": won["winner"], "is_clear": won["is_clear"]}
                | {"holds": each["winner"] == won["winner"] if won["is_clear"] else None}
            )
        else:
            at_points.append({**each, "found": None, "is_clear": None, "holds": None})
    known = {(row["axis"], row["against"]): row for row in courses(found)}
    axes = []
    for each in predictions["axes"]:
        row = known.get((each["axis"], each["against"]), {"lead": None, "why": ""})
        is_decided = row["lead"] in {"rises", "falls"}
        holds = row["lead"] == each["lead"] if is_decided else None
        # The prediction has a "why" of its own.
        axes.append({**each, "found": row["lead"], "undecided_by": row["why"], "holds": holds})
    return {"points": at_points, "axes": axes, "ladder": _ladder(predictions["ladder"], found)}


def _ladder(prediction: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    row = found.get(CENTER, {}).get("methods", {}).get(LADDER)
    if row is None:
        return {**prediction, "found": None, "holds": None}
    lead = row["mopd_lead"]
    is_clear = lead["low"] > 0 or lead["high"] < 0
    best = STUDENT if lead["mean"] > 0 else LADDER
    holds = best == prediction["winner"] if is_clear else None
    return {**prediction, "found": best, "holds": holds}
