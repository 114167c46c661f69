"""A probability for each answer of an audit: a teacher's name, or that no teacher taught it.

``NameCalibration.answer`` is a pure function of what a verdict knows (``Case`` in
``tasks/attribution/verdict.py``) and of three short lists of weights. Three logistic regressions
lie behind it. The first says of each teacher how likely it taught the behavior; the most likely
teacher is the candidate. The others say how likely the candidate is right, and how likely no
teacher taught it. The likelier is the answer.

Values in nats are taken as asinh(value), which is the value near 0 and a logarithm far from it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lineage.frozen import Frozen
from tasks.attribution.verdict import Case
from tasks.contracts.refusal import RefusedError

NO_TEACHER = ""
RIDGE = 0.1
"""Penalty on squared weights, so that separable data have finite ones."""
_LEAST = 1e-6

Truth = Sequence[str]
"""Teachers that taught a behavior; none for an untaught one."""


@dataclass(frozen=True)
class AuditEvidence:
    """What an answer rests on."""

    tables: tuple[Mapping[str, float], ...]
    """Nats of each teacher, by estimator; all have the same teachers."""
    change: float
    """Change of the student's log-probability or log-odds in the round."""
    contrast: bool
    several: bool
    """Whether a set of behaviors is audited as one."""


def evidence_of(case: Case) -> AuditEvidence:
    """Return what a verdict rests on, for the method of log-ratio and ledger together."""
    parts = {teacher: case.parts[teacher] for teacher in case.taught}
    contrast, several = case.num_tokens == 0, case.count > 1
    return AuditEvidence((case.taught, parts), case.ended - case.begun, contrast, several)


@dataclass(frozen=True)
class NamedAnswer:
    """An answer with the probability that it is right."""

    named: str
    """A teacher, or ``NO_TEACHER``."""
    probability: float
    by_teacher: Mapping[str, float]
    """How likely it is of each teacher alone that it taught the behavior."""


class NameCalibration(Frozen):
    """The weights of the three regressions."""

    teacher: tuple[float, ...]
    named: tuple[float, ...]
    untaught: tuple[float, ...]

    def answer(self, evidence: AuditEvidence) -> NamedAnswer:
        """Return the likelier of the best candidate and no teacher, with its probability."""
        by_teacher = _by_teacher(self.teacher, evidence)
        features = of_item(evidence, by_teacher)
        named, untaught = (_logistic(part, features) for part in (self.named, self.untaught))
        best = max(by_teacher, key=lambda name: by_teacher[name])
        if untaught > named:
            return NamedAnswer(NO_TEACHER, untaught, by_teacher)
        return NamedAnswer(best, named, by_teacher)


def of_teachers(evidence: AuditEvidence) -> dict[str, list[float]]:
    """Return the features of each teacher: its values, and how far each is from the best other."""
    found = {}
    for name in evidence.tables[0]:
        values = []
        for table in evidence.tables:
            others = [nats for other, nats in table.items() if other != name]
            ahead = table[name] - max(others, default=0.0)
            values += [math.asinh(table[name]), math.asinh(ahead)]
        found[name] = _by_form(evidence, [*values, math.asinh(evidence.change)])
    return found


def of_item(evidence: AuditEvidence, by_teacher: Mapping[str, float]) -> list[float]:
    """Return the features of a whole answer: how likely the two most likely teachers are."""
    first, second, *_ = [*sorted(by_teacher.values(), reverse=True), 0.0]
    return _by_form(evidence, [_logit(first), _logit(second), math.asinh(evidence.change)])


def _by_form(evidence: AuditEvidence, values: Sequence[float]) -> list[float]:
    """Return features with weights of their own for contrasts, and a constant for sets."""
    with_constant = [1.0, *values]
    own = with_constant if evidence.contrast else [0.0] * len(with_constant)
    return [*with_constant, *own, float(evidence.several)]


def _logit(share: float) -> float:
    kept = min(max(share, _LEAST), 1 - _LEAST)
    return math.log(kept / (1 - kept))


def _logistic(weights: Sequence[float], features: Sequence[float]) -> float:
    total = sum(weight * value for weight, value in zip(weights, features, strict=True))
    return 0.5 * (1 + math.tanh(total / 2))


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
            by_teacher = _by_teacher(teacher, evidence)
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


def _by_teacher(weights: Sequence[float], evidence: AuditEvidence) -> dict[str, float]:
    """Return how likely it is of each teacher alone that it taught the behavior."""
    return {name: _logistic(weights, values) for name, values in of_teachers(evidence).items()}


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
