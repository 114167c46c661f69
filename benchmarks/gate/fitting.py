"""Fits the regression on half of the calibrated family, each outcome by its measurements."""

import json
import math
import platform
import subprocess
from collections.abc import Sequence

import torch
from pydantic import JsonValue
from torch import Tensor

from benchmarks.common.results import Row
from benchmarks.gate.regression import FILE, Calibration, features
from benchmarks.gate.shares import baseline, halves, measure_of, share
from benchmarks.gate.verdicts import is_open
from tasks.gate.verdict import GateSettings, judge

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
        without = fit([rows[n] for n in others], target_M[others])
        left.append(float(target_M[place]) - predicted(without, rows[place]))
    whole = fit(rows, target_M)
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


def fit(rows: Sequence[dict[str, float]], target_M: Tensor) -> Row:
    """Return the logistic regression with the least squared error, on standardized features.

    Its weights are penalized by ``PENALTY``, and the bias is not.
    """
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


def predicted(regression: Row, row: dict[str, float]) -> float:
    """Return the share that a regression expects of a case."""
    z = regression["bias"] + sum(
        w * (row[name] - regression["centers"][name]) / regression["scales"][name]
        for name, w in regression["weights"].items()
    )
    return float(torch.sigmoid(torch.tensor(z)))


def _is_asked(case: Row) -> bool:
    measure = measure_of(case)
    known = all(math.isfinite(value) for value in features(measure).values())
    return known and is_open(judge(measure, "", GateSettings()))
