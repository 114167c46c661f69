"""What was measured: the scores in a scorecard, and the tokens that each teacher scored.

Tokens are response tokens, counted from the metrics of a student's rounds.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from lineage.artifacts import Artifact, Student
from lineage.errors import CorruptError
from lineage.records.record import Derivation
from lineage.records.system_prompt import read_system_prompts
from lineage.rules.evidence import Breach, Evidence, artifact_of, same, taken
from lineage.rules.own import is_own
from lineage.rules.plan import Planned

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
    system_prompts: list[tuple[str, str]]
    """Digest of the system prompt that the checkpoint read, as ``read_system_prompts`` gives it."""


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
                read_system_prompts(made),
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


_PREFIX = "tokens_routed/"


def tokens_routed(evidence: Evidence, student: Artifact, start: Artifact) -> Counter[str]:
    """Return the tokens by teacher, over all rounds from a plan's ``start`` to the student.

    Each round's record names the student that it started from, and its metrics count the tokens.

    Raises:
        LineageError: for a record or metrics that cannot be read.
    """
    tokens: Counter[str] = Counter()
    current = student
    while current.record and not same(current, start):
        tokens += _of_round(evidence, current)
        starts = taken(evidence.made(current.record), "student")
        if not starts:
            break
        current = artifact_of(starts[0])
    return tokens


def check_tokens(evidence: Evidence, student: Student, plan: Planned) -> Iterator[Breach]:
    """Yield a breach for each teacher with other tokens in the manifest than its rounds counted."""
    counted = tokens_routed(evidence, student.checkpoint, plan.student)
    names = {(teacher.domain, teacher.release.digest): teacher.name for teacher in plan.teachers}
    for share in student.teachers:
        found = counted[names.get((share.domain, share.release), "")]
        if share.tokens_routed != found:
            yield Breach(
                "tokens",
                f"{share.reference} is said to have scored {share.tokens_routed} tokens, and the "
                f"rounds counted {found}",
            )


def _of_round(evidence: Evidence, student: Artifact) -> Counter[str]:
    attested = evidence.attested(student)
    blob = attested[-1].metrics if attested else ""
    tokens: Counter[str] = Counter()
    for line in evidence.bytes(blob).splitlines() if blob else ():
        try:
            row = json.loads(line)
            name, value = str(row["name"]), row["value"]
            if name.startswith(_PREFIX):
                tokens[name.removeprefix(_PREFIX)] += int(value)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CorruptError(f"the metrics {blob} cannot be read: {error!r}") from error
    return tokens
