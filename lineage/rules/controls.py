"""Rules of the controls: each was made of the plan's parts, from where the student began."""

from collections.abc import Iterator

from lineage.artifacts import Artifact, Student
from lineage.records.record import Derivation
from lineage.rules.evidence import Breach, Evidence, same, taken
from lineage.rules.plan import Planned

RULE = (
    "Each control is a merge of the plan's teachers, or was trained from the student's start on "
    "the plan's prompts, by its teachers or without them."
)
MERGE = "merge"
MERGES = frozenset({"parameter_average", "task_arithmetic", "ties", "dare"})
"""Names of controls that are merges; any other was trained."""
TRAINED = frozenset({"sft", "rl", "mopd"})
"""Kinds of record that a trained control has."""
_BETWEEN = frozenset({*TRAINED, "sampling", "selection"})
"""Kinds of record that lie between a trained control and the plan."""
_STARTS = ("start", "student")
"""Roles of the checkpoint that a control was trained from ..."""
_OTHERS = ("teacher", "sampler", "prompts", "environment", "data", "responses")
"""... and of what it was trained by and on."""


def check_controls(
    evidence: Evidence, student: Student, plan: Planned, start: Artifact | None
) -> Iterator[Breach]:
    """Yield what a student's controls were made of beside the plan.

    Args:
        evidence: The records.
        student: The student.
        plan: Its plan.
        start: Checkpoint that its first round began with; None if unknown.

    Raises:
        LineageError: for a record that cannot be read.
    """
    for name, control in student.controls.items():
        made = evidence.made(control.record) if control.record else None
        if made is not None and made.kind == MERGE:
            yield from _merged(name, made, plan, start)
        elif made is not None and made.kind in TRAINED and name not in MERGES:
            yield from _trained(evidence, name, control.record, plan, start)
        else:
            kind = made.kind if made else "raw"
            yield Breach(
                "controls", f"{name} is of kind {kind}, which a control of this name is not"
            )


def _merged(name: str, made: Derivation, plan: Planned, start: Artifact | None) -> Iterator[Breach]:
    wanted = {(t.name, t.checkpoint.digest, t.checkpoint.record) for t in plan.teachers}
    is_now = {(i.name, i.artifact, i.record) for i in taken(made, "teacher")}
    if is_now != wanted:
        yield Breach("controls", f"{name} is a merge of other teachers")
    if start and not any(same(item, start) for item in taken(made, "student")):
        yield Breach("controls", f"{name} starts from elsewhere than the student")


def _trained(
    evidence: Evidence, name: str, record: str, plan: Planned, start: Artifact | None
) -> Iterator[Breach]:
    """Yield what a trained control took from elsewhere than the plan, back to the start."""
    parts = [part for t in plan.teachers for part in (t.checkpoint, t.train, t.environment)]
    waiting, seen = [record], {record}
    while waiting:
        made = evidence.made(waiting.pop())
        starts = [item for role in _STARTS for item in taken(made, role)]
        if made.kind in TRAINED and len(starts) != 1:
            yield Breach("controls", f"{name} was trained from {len(starts)} checkpoints")
        begun = [start] if start else []
        asked = [(item, begun) for item in starts]
        # The start may teach too: a domain without a teacher of its own.
        asked += [(item, parts + begun) for role in _OTHERS for item in taken(made, role)]
        for item, known in asked:
            if any(same(item, part) for part in known):
                continue
            before = evidence.made(item.record) if item.record else None
            if before is not None and before.kind in _BETWEEN:
                if item.record not in seen:
                    seen.add(item.record)
                    waiting.append(item.record)
            elif known:  # without a known start the breach is that of the rounds
                yield Breach("controls", f"{name} took {item.role} {item.name} from elsewhere")
