"""A probability for each answer of an audit: a teacher's name, or that no teacher taught it.

``NameCalibration.answer`` is a pure function of what a verdict knows (``Case``) and of three short
lists of weights. Three logistic regressions lie behind it. The first says of each teacher how
likely it taught the behavior; the most likely teacher is the candidate. The others say how likely
the candidate is right, and how likely no teacher taught it. The likelier is the answer.
``benchmarks/behaviors/`` fits the weights and tests them on fresh worlds.

Values in nats are taken as asinh(value), which is the value near 0 and a logarithm far from it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lineage.frozen import Frozen
from tasks.attribution.verdict import Case

NO_TEACHER = ""
_LEAST = 1e-6


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
        by_teacher = by_teacher_of(self.teacher, evidence)
        features = of_item(evidence, by_teacher)
        named, untaught = (_logistic(part, features) for part in (self.named, self.untaught))
        best = max(by_teacher, key=lambda name: by_teacher[name])
        if untaught > named:
            return NamedAnswer(NO_TEACHER, untaught, by_teacher)
        return NamedAnswer(best, named, by_teacher)


def by_teacher_of(weights: Sequence[float], evidence: AuditEvidence) -> dict[str, float]:
    """Return how likely it is of each teacher alone that it taught the behavior."""
    return {name: _logistic(weights, values) for name, values in of_teachers(evidence).items()}


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
