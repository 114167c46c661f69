"""What a warm-up brings in scores, without a cap, and what the merges behind it change.

The recovered share is at most 1, as what a fitting teacher passes on is the cap. A warmed-up
student may be above it, and then the share does not show whether MOPD adds or takes away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from benchmarks.common.checkout import RESULTS
from benchmarks.common.markdown import table
from benchmarks.common.results import Row, load
from benchmarks.gate.fresh.summary import LEAST_LOST
from tasks.statistics import t_half_width


@dataclass(frozen=True)
class Warmed:
    """The student's gain in mean score over its start, in one case."""

    case: str
    teacher: float
    without: float
    """After the merges without a remedy."""
    alone: float
    """After the warm-up alone."""
    merged: float
    """After the warm-up and the merges."""


def warmed_table() -> str:
    """Return the mean gains by what was done, and how far MOPD moved the warmed-up students."""
    found = list(warmed(load(RESULTS / "gate_fresh.json", {})["figures"]["rows"]))
    return shown(found)


def warmed(rows: list[Row]) -> Iterator[Warmed]:
    """Yield the cases that the recovered share counts: useful, lost, and warmed up."""
    for row in rows:
        if row["after"] and row["useful"] and row["share"] < 1 - LEAST_LOST:
            yield _of(load(RESULTS / "gate_fresh" / f"{row['case']}.json", {})["figures"])


def _of(case: Row) -> Warmed:
    start = case["merges"][0]["start"]
    return Warmed(
        case["case"],
        case["merges"][0]["teacher"] - start,
        fmean(merge["student"] for merge in case["merges"]) - start,
        case["remedy"]["alone"] - start,
        fmean(merge["student"] for merge in case["remedy"]["merges"]) - start,
    )


def shown(found: list[Warmed]) -> str:
    """Return the table of the cases and a sentence on the change that MOPD makes."""
    rows = (
        ("teacher", [each.teacher for each in found]),
        ("MOPD without a remedy", [each.without for each in found]),
        ("warm-up alone", [each.alone for each in found]),
        ("warm-up and MOPD", [each.merged for each in found]),
    )
    changes = {each.case: each.merged - each.alone for each in found}
    worst = min(changes, key=lambda case: changes[case])
    mean, half = fmean(changes.values()), t_half_width(list(changes.values()))
    heads = (f"gain over the start, {len(found)} cases", "mean", "least", "most")
    cells = ((what, *map(_three, (fmean(v), min(v), max(v)))) for what, v in rows)
    return table(heads, cells) + (
        f"\nMOPD behind the warm-up changed the score by {mean:+.3f} "
        f"({mean - half:+.3f} to {mean + half:+.3f}). It was lower in "
        f"{sum(change < -1e-9 for change in changes.values())} of {len(found)} cases, "
        f"at worst by {-changes[worst]:.3f} ({worst}).\n"
    )


def _three(value: float) -> str:
    return f"{value:.3f}"
