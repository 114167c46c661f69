"""Fits the regression on half of the cases, and compares both halves with it and with the gate."""

import json
import math
import platform
import subprocess
from collections.abc import Sequence
from statistics import fmean

import torch
from pydantic import JsonValue
from torch import Tensor

from benchmarks.common.results import Row
from benchmarks.common.statistics import auc, rank_correlation
from benchmarks.gate.regression import FILE, Calibration, features, predict
from benchmarks.gate.shares import baseline, halves, measure_of, share
from tasks.contracts.handover import Verdict
from tasks.gate.verdict import GateSettings, Judged, judge

LOST = 0.15
"""Of what a fitting teacher passes on."""
LEAST_LOST = 0.05
"""Of the same: who lost less has nothing for a remedy to recover that is not noise."""
WEIGHED = ("log_well", "log_forward_kl", "gain")
"""What the regression weighs, of all that is measured: chosen with the penalty by leaving one out
of the fitted half, where they err by 0.085 (root mean square) and all of them by 0.14."""
PENALTY = 2e-3


def calibrate(results: Row) -> None:
    """Fit on one half and write ``regression.json``."""
    cases = results["cases"]
    fitted, _ = halves(cases)
    fits = baseline({name: cases[name] for name in fitted})
    # Where health or scores decide, no prediction is asked.
    asked = [name for name in fitted if _is_asked(cases[name])]
    seen = [features(measure_of(cases[name])) for name in asked]
    rows = [{name: row[name] for name in WEIGHED} for row in seen]
    target_M = torch.tensor([share(cases[name], fits) for name in asked], dtype=torch.float64)
    left = []
    for place in range(len(asked)):
        others = [n for n in range(len(asked)) if n != place]
        fit = _fit([rows[n] for n in others], target_M[others])
        left.append(float(target_M[place]) - _value(fit, rows[place]))
    whole = _fit(rows, target_M)
    spread = (sum(error**2 for error in left) / len(left)) ** 0.5
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    provenance: dict[str, JsonValue] = {
        "command": "python -m benchmarks.gate calibrate",
        "commit": commit.stdout.strip(),
        "cases": len(asked),
        "baseline": round(fits, 4),
        "python": platform.python_version(),
    }
    found = Calibration(
        **whole,
        least={name: round(min(row[name] for row in seen), 6) for name in seen[0]},
        most={name: round(max(row[name] for row in seen), 6) for name in seen[0]},
        spread=spread,
        provenance=provenance,
    )
    FILE.write_text(json.dumps(found.model_dump(mode="json"), indent=1) + "\n", "utf-8")


def _fit(rows: Sequence[dict[str, float]], target_M: Tensor) -> Row:
    names = list(rows[0])
    raw_MF = torch.tensor([[row[name] for name in names] for row in rows], dtype=torch.float64)
    center_F, scale_F = raw_MF.mean(0), raw_MF.std(0).clamp(min=1e-6)
    x_MF = (raw_MF - center_F) / scale_F
    weights_F = torch.zeros(len(names), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights_F, bias], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        error_M = torch.sigmoid(x_MF @ weights_F + bias) - target_M
        loss = error_M.square().mean() + PENALTY * weights_F.square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)

    def named(values: Tensor) -> dict[str, float]:
        return {name: round(float(v), 6) for name, v in zip(names, values, strict=True)}

    return {
        "centers": named(center_F),
        "scales": named(scale_F),
        "weights": named(weights_F.detach()),
        "bias": float(bias.detach()),
    }


def _value(fit: Row, row: dict[str, float]) -> float:
    z = fit["bias"] + sum(
        w * (row[name] - fit["centers"][name]) / fit["scales"][name]
        for name, w in fit["weights"].items()
    )
    return float(torch.sigmoid(torch.tensor(z)))


def _is_asked(case: Row) -> bool:
    measure = measure_of(case)
    known = all(math.isfinite(value) for value in features(measure).values())
    return known and is_open(judge(measure, "", GateSettings()))


def is_open(judged: Judged) -> bool:
    """Return whether neither health nor scores decide a verdict, so that it is left to the rest."""
    learned = any(reason.code == "nothing-left" for reason in judged.reasons)
    return judged.verdict is not Verdict.DOES_NOT_FIT and not learned


def summary(results: Row, names: Sequence[str]) -> Row:
    """Return how well the gate's verdicts and the regression do on some cases.

    What is expected is the regression's, whatever the verdict, so no case is ranked by its verdict.
    """
    cases = results["cases"]
    calibration = Calibration.model_validate_json(FILE.read_text("utf-8"))
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
