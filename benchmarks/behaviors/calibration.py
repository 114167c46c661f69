"""Fits the calibration of an audit's answers (``tasks/attribution/calibration.py``)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tasks.attribution.calibration import (
    AuditEvidence,
    NameCalibration,
    by_teacher_of,
    of_item,
    of_teachers,
)
from tasks.contracts.refusal import RefusedError

RIDGE = 0.1
"""Penalty on squared weights, so that separable data have finite ones."""
Truth = Sequence[str]
"""Teachers that taught a behavior; none for an untaught one."""


def fitted(worlds: Sequence[Sequence[tuple[AuditEvidence, Truth]]]) -> NameCalibration:
    """Return the calibration that questions with known answers give.

    The last two regressions rest on what the first says. It would be too sure of the questions that
    it was fitted on. So they are fitted on what it says of each world when fitted on the others.

    Args:
        worlds: The questions of each world, of at least two.

    Raises:
        RefusedError: for fewer worlds.
    """
    if len(worlds) < 2:
        raise RefusedError(
            "no-worlds",
            f"{len(worlds)} worlds with questions cannot give a calibration, because each world "
            "is answered by a fit on the others: run at least two",
        )
    named, untaught = [], []
    for place, own in enumerate(worlds):
        others = [each for at, world in enumerate(worlds) if at != place for each in world]
        teacher = _teacher_fit(others)
        for evidence, truth in own:
            by_teacher = by_teacher_of(teacher, evidence)
            features = of_item(evidence, by_teacher)
            best = max(by_teacher, key=lambda name: by_teacher[name])
            named.append((features, best in truth))
            untaught.append((features, not truth))
    return NameCalibration(
        teacher=_teacher_fit([each for world in worlds for each in world]),
        named=logistic_fit(named),
        untaught=logistic_fit(untaught),
    )


def _teacher_fit(known: Sequence[tuple[AuditEvidence, Truth]]) -> tuple[float, ...]:
    return logistic_fit(
        [
            (features, name in truth)
            for evidence, truth in known
            for name, features in of_teachers(evidence).items()
        ]
    )


def logistic_fit(rows: Sequence[tuple[Sequence[float], bool]]) -> tuple[float, ...]:
    """Return the weights of a logistic regression with a small ridge."""
    x_NF = np.array([features for features, _ in rows])
    y_N = np.array([float(label) for _, label in rows])

    def loss(w_F: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z_N = x_NF @ w_F
        value = float(np.logaddexp(0, z_N).sum() - y_N @ z_N + RIDGE * w_F @ w_F)
        slope_F = x_NF.T @ (0.5 * (1 + np.tanh(z_N / 2)) - y_N) + 2 * RIDGE * w_F
        return value, slope_F

    found = minimize(loss, np.zeros(x_NF.shape[1]), jac=True, method="L-BFGS-B")
    return tuple(round(float(weight), 6) for weight in found.x)
