"""Compares both halves of the calibrated family with the gate's verdicts and with the regression.

It loads no torch.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from benchmarks.common.results import Row
from benchmarks.common.statistics import auc, rank_correlation
from benchmarks.gate.regression import Calibration, predict, stored_calibration
from benchmarks.gate.shares import baseline, measure_of, share
from tasks.contracts.handover import Verdict
from tasks.gate.verdict import GateSettings, Judged, judge

LOST = 0.15
"""Of what a fitting teacher passes on."""
LEAST_LOST = 0.05
"""Of the same: who lost less has nothing for a remedy to recover that is not noise."""


def is_open(judged: Judged) -> bool:
    """Return whether neither health nor scores decide a verdict, so that it is left to the rest."""
    by_scores = {"nothing-left", "gain-unclear"} & {reason.code for reason in judged.reasons}
    return judged.verdict is not Verdict.DOES_NOT_FIT and not by_scores


def summary(results: Row, names: Sequence[str]) -> Row:
    """Return how well the gate's verdicts and the regression do on some cases.

    What is expected is the regression's, whatever the verdict, so no case is ranked by its verdict.
    """
    cases = results["cases"]
    calibration = stored_calibration()
    fits = baseline(cases)
    rows = [_row(name, cases[name], calibration, fits) for name in names]
    lost = [(1 - row["expected"], row["actual"] < 1 - LOST) for row in rows]
    predicted = [row for row in rows if row["asked"]]
    through = [row["verdict"] == Verdict.FITS for row in rows]
    return {
        "cases": len(rows),
        "lost": sum(is_lost for _, is_lost in lost),
        "auc": auc(lost),
        "rank_correlation": _rank(rows),
        "rank_correlation_where_predicted": _rank(predicted),
        "error_where_predicted": fmean(abs(r["expected"] - r["actual"]) for r in predicted),
        "lost_and_let_through": [
            row["case"] for row, (_, bad), ok in zip(rows, lost, through, strict=True) if bad and ok
        ],
        "kept_and_refused": [
            row["case"]
            for row, (_, bad), ok in zip(rows, lost, through, strict=True)
            if not bad and not ok
        ],
        "rows": rows,
    }


def _row(name: str, case: Row, calibration: Calibration, fits: float) -> Row:
    measure = measure_of(case)
    judged = judge(measure, name, GateSettings())
    expected = predict(measure, calibration).score if measure.reading.finite else 0.0
    return {
        "case": name,
        "verdict": judged.verdict,
        "asked": is_open(judged),
        "expected": expected,
        "actual": share(case, fits),
    }


def _rank(rows: Sequence[Row]) -> float:
    if len(rows) < 3:
        return math.nan
    return rank_correlation([row["expected"] for row in rows], [row["actual"] for row in rows])
