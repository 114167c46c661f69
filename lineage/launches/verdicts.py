"""The gate's verdicts on the teachers of a launch, with what remedies were measured to bring."""

from collections.abc import Collection, Iterable

from lineage.artifacts import Artifact
from lineage.export.subject import NewestOutput
from lineage.graph.index import Index
from lineage.launches.launch import LaunchRemedy, LaunchVerdict
from lineage.records.record import Derivation, Records

REMEDY = "remedy"
"""Kind of the record that holds the measurement after a remedy."""


def start_of_rounds(records: Records, student: Artifact) -> str:
    """Return the digest of the checkpoint with which a student's first MOPD round began.

    Raises:
        LineageError: for a record that cannot be read.
    """
    digest, record, seen = student.digest, student.record, set[str]()
    while record and record not in seen:
        seen.add(record)
        made = records.read(record)
        before = [item for item in made.inputs if item.role == "student"]
        if made.kind != "mopd" or len(before) != 1:
            break
        digest, record = before[0].artifact, before[0].record
    return digest


def remedied(made: Derivation) -> str:
    """Return the digest of the student that a record of this kind measured; "" if it names none."""
    found = [item.artifact for item in made.inputs if item.role == "student"]
    return found[0] if len(found) == 1 else ""


def newest_verdicts(
    gates: Iterable[NewestOutput], remedies: Iterable[NewestOutput], starts: Collection[str]
) -> list[LaunchVerdict]:
    """Return the last verdict on each teacher of a plan, with the measurement after its remedy.

    `provost gate` and a launch judge the same plan, and launches of it may warm up differently.

    Args:
        gates: Records of the gate's reports on the plan.
        remedies: Records of measured remedies of the plan, oldest first.
        starts: Digests of what the rounds of the launch's students began with; empty without a
            student, and then the last remedy counts.
    """
    ordered = sorted(gates, key=lambda made: made.attestation.finished)
    verdicts = {each.name: each for made in ordered for each in _verdicts_in(made.derivation)}
    for made in remedies:
        if starts and remedied(made.derivation) not in starts:
            continue
        for each in outcomes_in(made.derivation):
            if each.name in verdicts:
                changed = {"remedied": each}
                verdicts[each.name] = verdicts[each.name].model_copy(update=changed)
    return list(verdicts.values())


def _verdicts_in(made: Derivation) -> list[LaunchVerdict]:
    teachers = made.settings.get("teachers")
    rows = teachers if isinstance(teachers, list) else []
    return [LaunchVerdict.model_validate(each) for each in rows]


def outcomes_in(made: Derivation) -> list[LaunchRemedy]:
    """Return what a record of this kind says of each teacher."""
    teachers = made.settings.get("teachers")
    rows = teachers if isinstance(teachers, list) else []
    return [LaunchRemedy.model_validate(each) for each in rows]


def remedies_of(
    records: Records, index: Index, plan: str, student: Artifact, project: str
) -> list[LaunchRemedy]:
    """Return what the remedies of a plan were measured to bring to one of its students.

    Args:
        records: Records of the store.
        index: Index of the store.
        plan: Digest of the plan after the gate.
        student: Checkpoint that the rounds made.
        project: Project of the plan; what others attest does not count.

    Raises:
        LineageError: for a record that cannot be read.
    """
    start = start_of_rounds(records, student)
    for user in sorted(index.users(plan)):
        made = records.read(user)
        is_own = (made.kind, made.project) == (REMEDY, project)
        if is_own and remedied(made) == start and records.output(user) is not None:
            return outcomes_in(made)
    return []
