"""After the fact: what the gate expected of each teacher, beside what the consolidation got.

The records of it are what a later calibration can be made from: it grows with use.
"""

import json
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.record import Derivation, Input
from tasks.gate.measured import Frozen
from tasks.handover import Cure, Gated, Verdict
from tasks.provenance import source_digest
from tasks.step import Bench, Measurements

KIND = "gate_outcome"
STUDENT = "student"


class TeacherOutcome(Frozen):
    """One teacher's domain, before and after."""

    name: str
    reference: str
    """Its release, such as teacher.math@3."""
    domain: str
    verdict: Verdict
    done: Cure
    predicted: float | None
    low: float | None
    high: float | None
    actual: float | None
    """The student's normalised score in the domain; None where the teacher gained nothing."""

    @property
    def surprised(self) -> bool:
        """Whether what came lies outside of what was expected."""
        if self.predicted is None or self.actual is None:
            return False
        assert self.low is not None
        assert self.high is not None
        return not self.low <= min(1.0, max(0.0, self.actual)) <= self.high


def compare_with_outcome(bench: Bench, gated: Gated, scorecard: Artifact) -> Artifact:
    """Return the stored comparison of expected and actual normalised scores, teacher by teacher."""
    card = json.loads(bench.store.get_bytes(scorecard.digest))
    references = {teacher.name: teacher.reference for teacher in gated.plan.teachers}
    outcomes = [
        TeacherOutcome(
            name=teacher.name,
            reference=references[teacher.name],
            domain=teacher.domain,
            verdict=teacher.verdict,
            done=teacher.done,
            predicted=teacher.predicted,
            low=teacher.low,
            high=teacher.high,
            actual=_actual(card, teacher.domain),
        )
        for teacher in gated.teachers
        if teacher.done is not Cure.DROP
    ]
    derivation = Derivation(
        project=bench.project,
        kind=KIND,
        inputs=(
            _input("gate", gated.report),
            _input("scorecard", scorecard),
        ),
        source=source_digest("gate"),
        # How much arrives depends on the round: outcomes under other settings say nothing of it.
        settings={"recipe": gated.recipe},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        for each in outcomes:
            pairs = {"predicted": each.predicted, "actual": each.actual}
            measurements.add(
                0, {f"{name}/{each.name}": v for name, v in pairs.items() if v is not None}
            )
        rows: list[JsonValue] = [
            {**each.model_dump(mode="json"), "surprised": each.surprised} for each in outcomes
        ]
        path = folder / "outcome.json"
        path.write_bytes(canonical_json(rows))
        return path

    return bench.find_or_make(derivation, KIND, make, owner="consolidation")


def _actual(card: dict[str, JsonValue], domain: str) -> float | None:
    """Return the student's normalised score of a domain from a scorecard's document."""
    scores = card[domain]
    assert isinstance(scores, dict)
    normalised = scores["normalised"]
    assert isinstance(normalised, dict)
    student = normalised[STUDENT]
    assert isinstance(student, dict)
    mean = student["mean"]
    assert mean is None or isinstance(mean, int | float)
    return mean


def _input(role: str, artifact: Artifact) -> Input:
    return Input(role=role, artifact=artifact.digest, record=artifact.record)
