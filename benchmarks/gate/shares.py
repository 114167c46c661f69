"""What a case of the calibrated family keeps, as a share of what fits; loads no torch."""

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean

from benchmarks.common.results import Row
from tasks.gate.measured import TeacherMeasure

SAME = "same fork point"


def halves(cases: Mapping[str, Row]) -> tuple[list[str], list[str]]:
    """Return the names of the fitted and of the held-out cases: every other one of each kind."""
    by_kind = defaultdict(list)
    for name in sorted(cases):
        by_kind[cases[name]["kind"]].append(name)
    fitted = [name for names in by_kind.values() for name in names[::2]]
    return fitted, [name for names in by_kind.values() for name in names[1::2]]


def baseline(cases: Mapping[str, Row]) -> float:
    """Return what a teacher of the student's own fork point passes on in this testbed."""
    return fmean(c["outcome"]["normalized"] for c in cases.values() if c["kind"] == SAME)


def share(case: Row, fits: float) -> float:
    """Return a case's outcome as a share of what a fitting teacher passes on, from 0 to 1."""
    return min(1.0, max(0.0, float(case["outcome"]["normalized"]) / fits))


def measure_of(case: Row) -> TeacherMeasure:
    """Return what was measured."""
    found = {k: v for k, v in case["measured"].items() if k != "probe_seconds"}
    return TeacherMeasure.model_validate(found)
