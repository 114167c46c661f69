"""Only the project that publishes vouches for what is published.

Any project can attest records of every kind and name any owner in them. So what a release or a
student was made and judged by has to be in records of the project that publishes it. What comes
from others by its nature (releases, a fork point, waivers) is left out here.
"""

from collections.abc import Iterable, Iterator

from lineage.artifacts import Artifact, Release, Student
from lineage.records.record import Derivation, Input
from lineage.rules.evidence import Breach, Evidence, artifact_of, same, taken
from lineage.rules.plan import Planned

RELEASE = (
    "Everything but the fork point, and each measurement of the scorecard, is in a record of the "
    "project that releases."
)
STUDENT = (
    "Plan, gate's report, approval, rounds, warm-up, controls, scorecard and its measurements are "
    "in records of the project that publishes."
)


def is_own(evidence: Evidence, made: Derivation, record: str) -> bool:
    """Return whether a record is of the project of ``made``, or older than projects."""
    return not record or evidence.made(record).project in {made.project, ""}


def check_own_release(evidence: Evidence, made: Derivation, release: Release) -> Iterator[Breach]:
    """Yield a breach for each part of a release that is in another project's record."""
    parts = [(p, a.record) for p, a in release.artifacts().items() if a != release.fork_point]
    parts += [("the sketches", item.record) for item in taken(made, "sft.sketches")]
    yield from _foreign(evidence, made, [*parts, *_measurements(evidence, release.scorecard)])


def check_own_student(
    evidence: Evidence, made: Derivation, student: Student, plan: Planned
) -> Iterator[Breach]:
    """Yield a breach for each part of a student that is in another project's record."""
    parts = [("the plan", plan.artifact.record), ("the scorecard", student.scorecard.record)]
    parts += [("the plan before the gate", plan.before.record)] if plan.before else []
    parts += [(role, item.record) for role in ("gate", "approval") for item in taken(made, role)]
    parts += [(name, control.record) for name, control in student.controls.items()]
    parts += [("a round", record) for record in _rounds(evidence, student.checkpoint, plan)]
    yield from _foreign(evidence, made, [*parts, *_measurements(evidence, student.scorecard)])


def _foreign(
    evidence: Evidence, made: Derivation, parts: Iterable[tuple[str, str]]
) -> Iterator[Breach]:
    for part, record in dict.fromkeys(parts):
        if not is_own(evidence, made, record):
            project = evidence.made(record).project
            yield Breach("project", f"{part} is in a record of {project}, not of {made.project}")


def _measurements(evidence: Evidence, scorecard: Artifact) -> list[tuple[str, str]]:
    inputs: tuple[Input, ...] = ()
    if scorecard.record:
        inputs = evidence.made(scorecard.record).inputs
    return [(f"the measurement of {item.role}".strip(), item.record) for item in inputs]


def _rounds(evidence: Evidence, student: Artifact, plan: Planned) -> Iterator[str]:
    """Yield the records from a student back to the plan's start, which may be another's."""
    current, seen = student, set[str]()
    while current.record and current.record not in seen and not same(current, plan.student):
        seen.add(current.record)
        yield current.record
        made = evidence.made(current.record)
        before = taken(made, "start" if made.kind == "warm_up" else "student")
        if not before:
            return
        current = artifact_of(before[0])
