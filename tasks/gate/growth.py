"""The calibration grows with use: what came of earlier merges corrects what the next may expect.

Outcomes of this store, under the same settings of a round, move the regression's bias and widen its
spread. The form is shrinkage to the built-in calibration, which counts as ``prior_weight``
outcomes (k): with n outcomes the mean that is expected of them goes n / (n + k) of the way to the
mean that came, and the variance is the mean of the built-in one, k times, and of the n squared
residuals, never below the built-in one. The weights of the features stay: merges that went through
the gate are a picked lot, which says little about what makes teachers differ.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from tasks.gate.judge import GateSettings
from tasks.gate.measured import GateDocument, TeacherMeasure
from tasks.gate.prediction import Calibration, features, predict

_FAR = 3.0
"""Logits by which the bias moves at most, a factor of 20 in the odds: what no bias can reach should
not send it to infinity."""
_HALVINGS = 60


class PastOutcome(GateDocument):
    """One teacher of an earlier consolidation: what was measured of it, and what came."""

    teacher: str
    """Its release, such as teacher.math@3."""
    record: str
    """Of the comparison."""
    artifact: str
    measure: TeacherMeasure
    actual: float
    """The student's normalised score in its domain."""

    @property
    def share(self) -> float:
        """What came, as the regression knows it: between nothing and all."""
        return min(1.0, max(0.0, self.actual))


class UsedOutcome(GateDocument):
    """One outcome beside what the built-in calibration would have expected."""

    teacher: str
    record: str
    expected: float
    came: float


class Recalibration(GateDocument):
    """What a gate learned from this store's outcomes, for page and JSON."""

    found: int
    """Outcomes under the same settings of a round, recalled ones left out."""
    needed: int
    used: tuple[UsedOutcome, ...] = ()
    """Empty below the minimum."""
    bias: float = 0.0
    """By which the regression's was moved, in logits."""
    spread: float = 0.0
    """Standard deviation behind the interval, after it."""


def recalibrate(
    calibration: Calibration, came: Sequence[PastOutcome], settings: GateSettings
) -> tuple[Calibration, Recalibration]:
    """Return the calibration as the outcomes have it, and what is to be told of that.

    Below ``settings.least_outcomes`` it is the built-in one.
    """
    told = Recalibration(found=len(came), needed=settings.least_outcomes)
    if len(came) < settings.least_outcomes:
        return calibration, told
    prior = settings.prior_weight
    expected = [predict(each.measure, calibration).score for each in came]
    share = len(came) / (len(came) + prior)
    wanted = fmean(expected) + share * (fmean(each.share for each in came) - fmean(expected))
    moved = _with_mean(calibration, came, wanted)
    squares = [(each.share - predict(each.measure, moved).score) ** 2 for each in came]
    variance = (prior * calibration.spread**2 + sum(squares)) / (prior + len(came))
    spread = max(calibration.spread, math.sqrt(variance))
    seen = [features(each.measure) for each in came]
    after = moved.model_copy(
        update={
            "spread": spread,
            # Whoever is like these is unlike nothing any more.
            "least": {n: min(v, *(row[n] for row in seen)) for n, v in moved.least.items()},
            "most": {n: max(v, *(row[n] for row in seen)) for n, v in moved.most.items()},
        }
    )
    used = tuple(
        UsedOutcome(teacher=each.teacher, record=each.record, expected=score, came=each.actual)
        for each, score in zip(came, expected, strict=True)
    )
    changes = {"used": used, "bias": after.bias - calibration.bias, "spread": spread}
    return after, told.model_copy(update=changes)


def _with_mean(calibration: Calibration, came: Sequence[PastOutcome], wanted: float) -> Calibration:
    """Return the calibration whose bias expects ``wanted`` of the outcomes on average.

    What is expected rises with the bias, so halving finds it.
    """
    low, high = calibration.bias - _FAR, calibration.bias + _FAR
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = calibration.model_copy(update={"bias": middle})
        if fmean(predict(each.measure, tried).score for each in came) < wanted:
            low = middle
        else:
            high = middle
    return calibration.model_copy(update={"bias": (low + high) / 2})
