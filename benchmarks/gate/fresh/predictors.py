"""What is compared with the gate: each predictor gives a case a risk, larger where it may lose.

The directions were fixed before the first case was run, those without a clear reason by the
calibrated family. All but protocol competence are computed
from what the gate measured; a value that is missing counts as the largest risk.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean

from benchmarks.gate.regression import Prediction
from tasks.gate.measured import TeacherMeasure

REGRESSION, RULE, FORWARD_KL = "gate", "rule", "forward KL"
PROTOCOL = "protocol competence"
_CLEAR = 2.0
"""Standard errors, as in the gate."""


@dataclass(frozen=True)
class Measured:
    """All that predictors see of a case."""

    measure: TeacherMeasure
    prediction: Prediction | None
    """None where the teacher's probabilities are not finite."""
    protocol: float | None
    """The student's nats per token on the teacher's own right answers; None for too few."""


Risk = Callable[[Measured], float]


def by_rule(found: Measured) -> float:
    """Return 1 for a teacher that another one replaces, or that is not clearly ahead; else 0.

    The rule has no fitted number: both checks are tests at two standard errors.
    """
    scores, swap = found.measure.scores, found.measure.swap
    ahead = scores.difference > _CLEAR * scores.error
    return float(not ahead or (swap is not None and bool(swap.suspect)))


def _regression(found: Measured) -> float:
    return 1.0 - found.prediction.score if found.prediction else 1.0


def _unlikely(found: Measured) -> float:
    measure = found.measure
    if measure.swap is None:
        return math.inf
    return -measure.swap.log_likelihood[measure.name]


def _against(found: Measured) -> float:
    """Return the mean cosine with the other teachers' task vectors, negated."""
    moved = found.measure.displacement
    return -fmean(moved.cosines.values()) if moved and moved.cosines else math.inf


def _distance(found: Measured) -> float:
    moved = found.measure.displacement
    return moved.relative if moved else math.inf


def _protocol(found: Measured) -> float:
    return math.inf if found.protocol is None else found.protocol


TITLES = {REGRESSION: "regression", RULE: "**the gate's two tests**"}
"""How a table calls a predictor that the rows call otherwise."""
PREDICTORS: Mapping[str, tuple[Risk, str]] = {
    REGRESSION: (_regression, "1 - expected share; it was in the gate when these cases ran"),
    RULE: (by_rule, "swap test suspects, or not ahead by two standard errors: the gate's tests"),
    FORWARD_KL: (lambda found: found.measure.reading.forward_kl, "alone"),
    "reverse KL": (lambda found: found.measure.reading.kl, "alone; what the papers watch"),
    "right answers unlikely": (_unlikely, "teacher's nats on the student's right answers"),
    "early KL": (
        lambda found: found.measure.reading.kl_course[0],
        "reverse KL in the first fifth of an answer (position: 2605.21606)",
    ),
    "early minus late KL": (
        lambda found: found.measure.reading.kl_course[0] - found.measure.reading.kl_course[-1],
        "first fifth less the last (2605.21606)",
    ),
    "task-vector cosine": (_against, "mean with the other teachers, negated (2608.27409)"),
    "task-vector length": (_distance, "distance from the student's start, relative"),
    "top-16 overlap": (
        lambda found: -found.measure.reading.overlap,
        "share of likely tokens in common, negated",
    ),
    PROTOCOL: (_protocol, "the student's nats on the teacher's right answers (mini-verl 4)"),
}
"""Risk and definition by name."""


def risks(found: Measured) -> dict[str, float]:
    """Return the risk by each predictor; a NaN counts as the largest."""
    values = {name: float(risk(found)) for name, (risk, _) in PREDICTORS.items()}
    return {name: math.inf if math.isnan(value) else value for name, value in values.items()}
