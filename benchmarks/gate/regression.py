"""The regression that predicted how much of a teacher's gain a merge keeps, until it was compared.

It was in the gate at the commit of the fresh family's rows. Two tests without fitted numbers did as
well there, so it is now one of the predictors that are compared with them.

The main feature is whether the teacher finds the student's own correct answers likely. The numbers
are in ``regression.json`` with the command and commit that made them (``calibrate``). The form is
logistic, since a share of a gain lies between 0 and 1:
y = Phi(u) / (1 + exp(-(b + sum_i w_i (x_i - c_i) / s_i))), where Phi(u) is the probability of a
gain; u is the lead over the student in standard errors.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist

from pydantic import JsonValue

from tasks.gate.measured import GateDocument, TeacherMeasure

FILE = Path(__file__).with_name("regression.json")
_Z90 = NormalDist().inv_cdf(0.95)
"""The normal quantile of a two-sided 90 % interval."""
_FLOOR = 1e-4
_AS_GOOD_AS_CERTAIN = 0.03
"""Nats per token; below it, a teacher is certain of the student's correct answers."""
_OUTSIDE = 1.0
"""Widths of the calibrated range that a feature may lie outside of it."""


class Calibration(GateDocument):
    """A fitted regression and its origin."""

    centers: dict[str, float]
    scales: dict[str, float]
    weights: dict[str, float]
    bias: float
    spread: float
    """Standard deviation of the residuals on held-out cases."""
    least: dict[str, float]
    most: dict[str, float]
    """Largest value of each feature in the fitted cases."""
    provenance: dict[str, JsonValue]


class Prediction(GateDocument):
    """The share of the teacher's gain that the student is expected to keep."""

    score: float
    low: float
    high: float
    """Upper end of the 90 % prediction interval."""
    outside: tuple[str, ...]
    """Features far outside the calibrated range; the score is then a guess."""


def features(measure: TeacherMeasure) -> dict[str, float]:
    """Return all features that are compared with the calibration; none comes from the records.

    The prediction uses those that have a weight in the calibration.
    """
    reading, scores = measure.reading, measure.scores
    return {
        "log_well": _log_well(measure),
        "log_kl": math.log(max(reading.kl, _FLOOR)),
        "log_forward_kl": math.log(max(reading.forward_kl, _FLOOR)),
        "log_rare": math.log(max(reading.rare, 1e-3)),
        "overlap": reading.overlap,
        "log_missed_mass": math.log(max(1.0 - reading.mass, _FLOOR)),
        "entropy_gap": reading.teacher_entropy - reading.student_entropy,
        "gain": scores.difference,
    }


def _log_well(measure: TeacherMeasure) -> float:
    """Return the teacher's negative log-likelihood of the student's correct answers, logarithmic.

    NaN if the student has too few correct answers to measure it.
    """
    if measure.swap is None:
        return math.nan
    nats = -measure.swap.log_likelihood[measure.name]
    return math.log(max(nats, _AS_GOOD_AS_CERTAIN)) if math.isfinite(nats) else math.nan


def predict(measure: TeacherMeasure, calibration: Calibration) -> Prediction:
    """Return the prediction for a teacher with these measurements.

    An unmeasured feature counts as the middle of the calibrated range, and is listed among the
    features outside of it.
    """
    found = features(measure)
    z = calibration.bias + sum(
        weight * (_known(found[name], center) - center) / calibration.scales[name]
        for name, weight, center in _terms(calibration)
    )
    share = 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, z))))
    score = share * chance_of_gain(measure)
    width = _Z90 * calibration.spread
    return Prediction(
        score=score,
        low=max(0.0, score - width),
        high=min(1.0, score + width),
        outside=tuple(_outside(found, calibration)),
    )


def chance_of_gain(measure: TeacherMeasure) -> float:
    """Return the probability that the teacher scores more than the student: Phi(lead / error)."""
    lead, error = measure.scores.difference, measure.scores.error
    if error > 0:
        return 0.5 * (1.0 + math.erf(lead / error / math.sqrt(2.0)))
    return float(lead > 0)  # also where the error is NaN


def _terms(calibration: Calibration) -> list[tuple[str, float, float]]:
    return [(name, w, calibration.centers[name]) for name, w in calibration.weights.items()]


def _known(value: float, otherwise: float) -> float:
    return value if math.isfinite(value) else otherwise


def _outside(found: Mapping[str, float], calibration: Calibration) -> list[str]:
    names = []
    for name in calibration.least:
        least, most = calibration.least[name], calibration.most[name]
        room = _OUTSIDE * (most - least)
        if not least - room <= found[name] <= most + room:  # also for NaN
            names.append(name)
    return names


@lru_cache
def stored_calibration() -> Calibration:
    """Return the regression that was fitted on the calibrated family."""
    return Calibration.model_validate_json(FILE.read_text("utf-8"))
