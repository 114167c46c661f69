"""The figures of the comparison, from the raw rows of all seeds.

``common.shares`` says what a normalized score, MOPD's lead and their intervals are: the same as in
the map. A control that a seed lacks, because it was not planned there or was left out, is compared
on the seeds that have it.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.common.shares import Case, mean_score, methods_of, score, shares
from benchmarks.controls.planned import BEST_TEACHER, SECOND_ROUND
from tasks.contracts.controls import Control
from tasks.evaluate.scores import STUDENT
from tasks.statistics import RESAMPLES

LEAST = {STUDENT: 0.95, SECOND_ROUND: 0.98}
"""Goals: the least normalized scores."""
CONTROLS = (BEST_TEACHER, *(control.value for control in Control))
"""What MOPD is to be above; the second round and its teachers are not among them."""


def with_best_teacher(case: Case) -> dict[str, Any]:
    """Return a case with the best single teacher on all domains as a method.

    It is chosen by the held-out prompts themselves, so it is an upper limit of what a choice by
    validation would find.
    """
    teachers = case["teachers"]
    best = max(sorted(teachers), key=lambda name: mean_score(teachers, name))
    return {**case, "rows": {**case["rows"], BEST_TEACHER: teachers[best]}}


def summary(cases: Sequence[Case], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Return for each method: seeds, scores by domain, and its share beside MOPD's, with its cost.

    Where the teachers of its seeds may have gained nothing, a method has no share.
    """
    whole = [with_best_teacher(case) for case in cases]
    domains = sorted(whole[0]["rows"][STUDENT]) if whole else []
    found = {}
    for method in methods_of([case["rows"] for case in whole]):
        own = [case for case in whole if method in case["rows"]]
        compared = list(dict.fromkeys((STUDENT, method)))
        found[method] = {
            "seeds": len(own),
            "scores": {
                name: round(fmean(score(case["rows"], method, name) for case in own), 4)
                for name in domains
            },
            **shares(own, compared, resamples).get(method, {}),
        }
    return found


def judged(
    predictions: Sequence[Mapping[str, Any]], found: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return for each prediction whether the normalized score lies within it; None without one."""
    rows = []
    for each in predictions:
        low, high = each["normalized"]
        value = found.get(each["method"], {}).get("normalized", {}).get("mean")
        holds = None if value is None else low <= value <= high
        rows.append({**each, "found": value, "holds": holds})
    return rows


def goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the goals, and whether the intervals meet them, refute them or leave them open.

    MOPD is above every control where the interval of its lead over each is above 0. ``found`` is a
    normalized score, or the controls that it is not shown to be above.
    """
    rows: list[dict[str, Any]] = []
    for method, least in LEAST.items():
        share = found.get(method, {}).get("normalized")
        rows.append(
            {
                "goal": method,
                "least": least,
                "found": share,
                "holds": _holds(share, least) if share else None,
            }
        )
    leads = {name: found.get(name, {}).get("mopd_lead") for name in CONTROLS}
    verdicts = {name: _is_ahead(lead) if lead else None for name, lead in leads.items()}
    left = [name for name, verdict in verdicts.items() if not verdict]
    holds = False if False in verdicts.values() else None if left else True
    rows.append({"goal": "above_every_control", "found": left, "holds": holds})
    return rows


def _holds(interval: Mapping[str, float], least: float) -> bool | None:
    if interval["low"] >= least:
        return True
    return False if interval["high"] < least else None


def _is_ahead(lead: Mapping[str, float]) -> bool | None:
    if lead["low"] > 0:
        return True
    return False if lead["high"] < 0 else None
