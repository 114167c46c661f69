"""The methods that answer an auditor's questions, each from its own numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.behaviors import items
from benchmarks.behaviors.calibration import fitted
from benchmarks.behaviors.items import AuditItem, Table
from benchmarks.behaviors.judging import JudgedAnswer, is_right
from tasks.attribution.calibration import AuditEvidence, NameCalibration

BOTH, LOG_RATIO, LEDGER = "both together", "log-ratio alone", "ledger alone"
RULE = "the product's rule"


def _of(name: str) -> Callable[[AuditItem], Table]:
    return lambda item: item.tables[name]


METHODS: Mapping[str, tuple[Callable[[AuditItem], Table], ...]] = {
    BOTH: (_of("taught"), _of("parts")),
    LOG_RATIO: (_of("taught"),),
    LEDGER: (_of("parts"),),
    "TracIn": (_of("tracin"),),
    "TracIn, bounded": (items.bounded,),
    "surgery": (_of("surgery"),),
    "owner of the domain": (_of("owner"),),
}
"""The tables that each method answers from."""


@dataclass(frozen=True)
class MethodAnswer:
    """What a method answers to a question."""

    item: AuditItem
    names: tuple[str, ...]
    """Teachers; none for no teacher."""
    probability: float

    @property
    def judged(self) -> JudgedAnswer:
        """The answer beside the truth."""
        right = is_right(self.names, self.item.truth)
        return JudgedAnswer(self.item.cluster, right, self.probability)


def evidence(item: AuditItem, method: str) -> AuditEvidence:
    """Return what a method answers from."""
    tables = tuple(table(item) for table in METHODS[method])
    several = item.form.startswith("set")
    return AuditEvidence(tables, item.ended - item.begun, item.is_contrast, several)


def calibrated(method: str, worlds: Sequence[Sequence[AuditItem]]) -> NameCalibration:
    """Return a method's calibration from the questions of each world of the fit."""
    return fitted([[(evidence(item, method), item.truth) for item in own] for own in worlds])


def answered(
    method: str, calibration: NameCalibration, asked: Sequence[AuditItem]
) -> list[MethodAnswer]:
    """Return the calibrated answers of a method."""
    found = [(item, calibration.answer(evidence(item, method))) for item in asked]
    return [
        MethodAnswer(item, (answer.named,) if answer.named else (), answer.probability)
        for item, answer in found
    ]


def ruled(asked: Sequence[AuditItem]) -> list[MethodAnswer]:
    """Return the answers of the product's rule, which has no probabilities."""
    return [MethodAnswer(item, items.shipped(item), 1.0) for item in asked]
