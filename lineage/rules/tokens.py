"""How many response tokens each teacher scored, counted from the metrics of a student's rounds."""

import json
from collections import Counter
from collections.abc import Iterator

from lineage.artifacts import Artifact, Student
from lineage.errors import CorruptError
from lineage.rules.evidence import Breach, Evidence, artifact_of, same, taken
from lineage.rules.plan import Planned

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
    """Yield where a student's manifest says other tokens of a teacher than its rounds counted."""
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
