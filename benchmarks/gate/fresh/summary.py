"""The figures of the fresh family, from the rows of its cases alone.

An outcome is the mean over merge seeds of (student - start) / gain, as a share of what the domain's
own teachers pass on, between 0 and 1. Its error is the standard error of that mean. A case is lost
below 0.85.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any

from benchmarks.common.results import Row
from benchmarks.common.statistics import auc, auc_difference, auc_interval, ratio_of_sums
from benchmarks.gate.fresh.family import HEALTHY, Group
from benchmarks.gate.fresh.predictors import PREDICTORS, RULE
from benchmarks.gate.fresh.today import counts_now, ends_now, verdict_now
from tasks.contracts.handover import Verdict
from tasks.statistics import wilson

LOST = 0.15
"""Of what a fitting teacher passes on."""
LEAST_LOST = 0.05
"""Of the same: a smaller loss is noise, with nothing to recover."""
LEAST_GAIN = 0.1
"""On held-out prompts: a teacher with less is not useful."""
MOST_PROBE_SECONDS = 30.0
BOOTSTRAP = 20261130
ACCEPTED = {Verdict.FITS.value, Verdict.FITS_AFTER_REMEDY.value}
"""Final verdicts with which a merge begins; after a remedy the second one was measured."""


def outcomes(merges: Sequence[Row], fits: float) -> list[float]:
    """Return the share of what fits for each merge."""
    return [min(1.0, max(0.0, float(merge["normalized"]) / fits)) for merge in merges]


def baseline(rows: Sequence[Row]) -> float:
    """Return what the domains' own teachers pass on."""
    own = [m["normalized"] for row in rows if row["group"] == Group.OWN for m in row["merges"]]
    return fmean(own)


def judged(row: Row, fits: float) -> Row:
    """Return a case's outcome beside its verdicts."""
    shares = outcomes(row["merges"], fits)
    gain = row["merges"][0]["teacher"] - row["merges"][0]["start"]
    healthy = row["group"] in HEALTHY
    lost = [share < 1 - LOST for share in shares]
    return {
        **{name: row[name] for name in ("case", "kind", "domain", "level", "group")},
        **{name: row[name] for name in ("verdict", "final", "reasons", "probe_seconds", "risks")},
        "probe_processor_seconds": row["processor_seconds"]["probe"],
        "expected": row["expected"]["score"] if row["expected"] else 0.0,
        "gain": round(gain, 4),
        "useful": gain >= LEAST_GAIN,
        "hard": healthy and gain >= LEAST_GAIN,
        "share": round(fmean(shares), 4),
        "error": round(error_of(shares), 4),
        "lost": fmean(shares) < 1 - LOST,
        "ambiguous": any(lost) and not all(lost),
        "after": _after(row, fits),
        "now": verdict_now(row["measured"]).value,
    }


def error_of(values: Sequence[float]) -> float:
    """Return the standard error of a mean; NaN for a single value."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _after(row: Row, fits: float) -> Row | None:
    """Return what a remedied student keeps, alone and after its merges."""
    remedy = row["remedy"]
    if remedy is None:
        return None
    merge = row["merges"][0]
    gain = merge["teacher"] - merge["start"]
    gain = gain if gain >= LEAST_GAIN else merge["reference"] - merge["start"]
    alone = [{"normalized": (remedy["alone"] - merge["start"]) / gain}]
    return {
        "alone": round(outcomes(alone, fits)[0], 4),
        "merged": round(fmean(outcomes(remedy["merges"], fits)), 4),
        "verdict": remedy["verdict"],
    }


def summary(rows: Sequence[Row], ancestry: Sequence[Row]) -> Row:
    """Return every figure of the page, with the judged rows."""
    fits = baseline(rows)
    found = [judged(row, fits) for row in rows]
    return {
        "cases": len(found),
        "baseline": round(fits, 4),
        "counts": {name: _counts(found, chosen) for name, chosen in SUBSETS.items()},
        "auc": {name: aucs(subset(found, name)) for name in SUBSETS},
        "today": {name: counts_now(subset(found, name)) for name in SUBSETS},
        "today_behind_remedy": ends_now(subset(found, "hard")),
        "false_refusals": _share(refused(found, "final"), subset(found, "hard")),
        "refused_at_first": _share(refused(found, "verdict"), subset(found, "hard")),
        "let_through": _share(
            [
                row
                for row in subset(found, "hard")
                if row["lost"] and row["verdict"] == Verdict.FITS
            ],
            subset(found, "hard"),
        ),
        "remedies": remedies(found),
        "probe_seconds": _probes(found),
        "ancestry": of_ancestry(ancestry),
        # The risks are in the rows of the cases; here they would only be said again.
        "rows": [{k: v for k, v in row.items() if k != "risks"} for row in found],
    }


SUBSETS: Mapping[str, Callable[[Row], bool]] = {
    "all": lambda row: True,
    "hard": lambda row: bool(row["hard"]),
    "easy": lambda row: not row["hard"],
    "hard and clear": lambda row: row["hard"] and not row["ambiguous"],
}
"""Hard: a healthy teacher with a gain of 0.1. Clear: both merges are on one side of the limit."""


def subset(rows: Sequence[Row], name: str) -> list[Row]:
    """Return the rows of one of ``SUBSETS``."""
    return [row for row in rows if SUBSETS[name](row)]


def _counts(rows: Sequence[Row], chosen: Callable[[Row], bool]) -> dict[str, int]:
    kept = [row for row in rows if chosen(row)]
    return {"cases": len(kept), "lost": sum(row["lost"] for row in kept)}


def aucs(rows: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    """Return each predictor's AUC for lost cases, and the lead of the gate's two tests over it.

    Both have intervals.
    """
    scored = {name: [(_risk(row, name), bool(row["lost"])) for row in rows] for name in PREDICTORS}
    found = {}
    for name, pairs in scored.items():
        low, high = auc_interval(pairs)
        lead, least, most = auc_difference(scored[RULE], pairs, BOOTSTRAP)
        numbers = {"auc": auc(pairs), "low": low, "high": high}
        numbers |= {"gate_leads": lead, "lead_low": least, "lead_high": most}
        found[name] = {key: _number(value) for key, value in numbers.items()}
    return found


def _risk(row: Row, name: str) -> float:
    value = row["risks"][name]
    return math.inf if value is None else float(value)


def refused(rows: Sequence[Row], verdict: str) -> list[Row]:
    """Return the hard cases that a verdict, the first or the final one, does not let merge."""
    accepted = ACCEPTED if verdict == "final" else {Verdict.FITS.value}
    return [row for row in subset(rows, "hard") if row[verdict] not in accepted]


def _share(some: Sequence[Row], of: Sequence[Row]) -> Row:
    """Return a share with Wilson's interval, and the cases that it counts."""
    names = [row["case"] for row in some]
    if not of:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None, "cases": names}
    found = wilson(len(some), len(of))
    limits = {"low": round(found.low, 4), "high": round(found.high, 4)}
    return {
        **{"count": len(some), "of": len(of), "share": round(found.mean, 4)},
        **limits,
        "cases": names,
    }


def remedies(rows: Sequence[Row]) -> Row:
    """Return the share of the loss that is recovered, by the warm-up alone and with the merge.

    It counts useful teachers that were warmed up and had lost more than 0.05 without it.
    """
    kept = [row for row in rows if row["after"] and row["useful"] and row["share"] < 1 - LEAST_LOST]
    losses = [1 - row["share"] for row in kept]
    found: Row = {"cases": len(kept), "failed": sum(row["final"] not in ACCEPTED for row in kept)}
    for name, key in (("alone", "alone"), ("after", "merged")):
        gained = [row["after"][key] - row["share"] for row in kept]
        mean, low, high = ratio_of_sums(gained, losses, BOOTSTRAP)
        found[name] = {"mean": _number(mean), "low": _number(low), "high": _number(high)}
    return found


def _probes(rows: Sequence[Row]) -> Row:
    seconds = [float(row["probe_seconds"]) for row in rows]
    return {
        "median": round(median(seconds), 1),
        "most": round(max(seconds), 1),
        "most_processor": max(float(row["probe_processor_seconds"]) for row in rows),
        "over_goal": [row["case"] for row in rows if row["probe_seconds"] > MOST_PROBE_SECONDS],
    }


def of_ancestry(rows: Sequence[Row]) -> Row:
    """Return how many false parents are found and true ones contradicted, by both methods."""
    true = [row for row in rows if row["true"]]
    false = [row for row in rows if not row["true"]]
    found: Row = {"true": len(true), "false": len(false)}
    for name, keys in (
        ("without", ("contradicted_without", "nearer_without")),
        ("with", ("contradicted_with", "nearer_with")),
    ):
        gate, fingerprint = keys
        found[name] = {
            "found": _part(false, gate),
            "false_alarms": _part(true, gate),
            "fingerprint_found": _part(false, fingerprint),
            "fingerprint_false_alarms": _part(true, fingerprint),
        }
    for name, key in (("auc_projection", "projection"), ("auc_fingerprint", "kinship")):
        found[name] = _number(auc([(float(row[key]), bool(row["true"])) for row in rows]))
    return found


def _part(rows: Sequence[Row], key: str) -> float | None:
    return round(fmean(float(row[key]) for row in rows), 4) if rows else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def held(predictions: Sequence[Row], found: Row) -> list[Row]:
    """Return for each prediction the figure, and whether goal and expectation hold; None before."""
    rows = []
    for each in predictions:
        value: Any = found
        for key in each["figure"]:
            value = value[key]
        rows.append(
            {
                **each,
                "found": value,
                "goal_met": _within(value, each["goal"]),
                "as_expected": _within(value, each["expected"]),
            }
        )
    return rows


def _within(value: float | None, limits: Sequence[float] | None) -> bool | None:
    return None if value is None or limits is None else limits[0] <= value <= limits[1]
