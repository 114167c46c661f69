"""What a scorecard measured, by its record."""

from collections.abc import Iterator
from dataclasses import dataclass

from lineage.artifacts import Artifact
from lineage.records.record import Derivation
from lineage.rules.evidence import Breach, Evidence, artifact_of, taken
from lineage.rules.own import is_own

METHOD, TEACHER = "method.", "teacher."
FORK_POINT, STUDENT = "fork_point", "student"

RULES = {
    "measured": "Every input is a measurement by the scorecard's own project, of the domain under "
    "which it is listed.",
}


@dataclass(frozen=True)
class StoredMeasurement:
    """One measurement of a scorecard."""

    label: str
    """``method.student``, ``teacher.math`` ..."""
    domain: str
    checkpoint: Artifact
    prompts: Artifact
    environment: Artifact


def measured(evidence: Evidence, card: Derivation) -> list[StoredMeasurement]:
    """Return what a scorecard compares, each with the checkpoint that was measured."""
    found = []
    for item in card.inputs:
        if not item.record:
            continue
        made = evidence.made(item.record)
        parts = {role: taken(made, role, "") for role in ("checkpoint", "prompts", "environment")}
        if made.kind != "evaluation" or any(len(each) != 1 for each in parts.values()):
            continue
        found.append(
            StoredMeasurement(
                item.role,
                item.name,
                artifact_of(parts["checkpoint"][0]),
                artifact_of(parts["prompts"][0], "dataset"),
                artifact_of(parts["environment"][0], "environment"),
            )
        )
    return found


def check_scorecard(evidence: Evidence, card: Derivation) -> Iterator[Breach]:
    """Yield each input of a scorecard that is not a measurement, or is of another domain."""
    for item in card.inputs:
        label = f"{item.role} {item.name}".strip()
        if not item.record:
            yield Breach("measured", f"no record says how {label} was measured")
            continue
        made = evidence.made(item.record)
        if not is_own(evidence, card, item.record):
            yield Breach("measured", f"{label} was measured by {made.project}, not {card.project}")
        domain = made.settings.get("domain")
        if made.kind != "evaluation":
            yield Breach("measured", f"{label} is a {made.kind}, not an evaluation")
        elif domain != item.name:
            yield Breach("measured", f"{label} was measured on the domain {domain}")
