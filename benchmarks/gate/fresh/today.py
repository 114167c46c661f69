"""Today's gate on measurements of before: its verdicts depend on nothing else.

The rows hold the verdicts of the gate that ran them. The gate of today has the same tests and no
regression, so its verdicts are calculated from the measurements in the rows. Where it would warm a
student up and the gate of before did not, the outcome of the warm-up is not known.
"""

import json
from collections.abc import Sequence

from benchmarks.common.results import Row
from tasks.contracts.handover import Verdict
from tasks.gate.measured import TeacherMeasure
from tasks.gate.reliability import FILE
from tasks.gate.verdict import GateSettings, judge

REMEDIED = {Verdict.FITS_AFTER_REMEDY, Verdict.UNKNOWN}
"""Verdicts for which the gate proposes a warm-up."""


def verdict_now(measured: Row) -> Verdict:
    """Return today's first verdict on a case, from what was measured."""
    return judge(TeacherMeasure.model_validate(measured), "", GateSettings()).verdict


def counts_now(rows: Sequence[Row]) -> Row:
    """Return how many lost teachers the first verdict finds, and what it holds up in vain."""
    held_up = [row for row in rows if row["now"] != Verdict.FITS]
    lost = [row for row in rows if row["lost"]]
    return {
        "found": {"count": sum(row["lost"] for row in held_up), "of": len(lost)},
        "in_vain": {
            "count": sum(not row["lost"] for row in held_up),
            "of": len(rows) - len(lost),
        },
        "missed": [row["case"] for row in lost if row["now"] == Verdict.FITS],
    }


def ends_now(rows: Sequence[Row]) -> Row:
    """Return what today's verdicts come to behind the remedy, as far as the rows tell."""
    to_remedy = [row for row in rows if row["now"] in REMEDIED]
    known = [row for row in to_remedy if row["after"]]
    return {
        "refused": [row["case"] for row in rows if row["now"] == Verdict.DOES_NOT_FIT],
        "to_remedy": len(to_remedy),
        "remedied": len(known),
        "failed": [r["case"] for r in known if r["after"]["verdict"] == Verdict.DOES_NOT_FIT],
        "not_run": [row["case"] for row in to_remedy if not row["after"]],
    }


def write_reliability(found: Row, lost: float) -> None:
    """Write the counts that the gate's page states."""
    document = {"lost": 1 - lost, **{name: found[name] for name in ("found", "in_vain")}}
    FILE.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
