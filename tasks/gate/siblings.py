"""What a teacher might come from instead of what its release declares."""

from lineage.graph import Lineage
from lineage.record import Records
from lineage.store import Store

MOST = 8
"""Each is read once from disk beside the teacher."""


def descends(store: Store, record: str, ancestor: str) -> bool:
    """Return whether a record is, or descends from, another; nothing is known without records."""
    return bool(record and ancestor) and ancestor in {record, *Lineage(store).ancestors(record)}


def other_starts(store: Store, fork_point: str, teacher: str) -> list[str]:
    """Return checkpoints that were trained from ``fork_point`` and are no kin of a teacher.

    What descends from the teacher is near it for that reason, and what it descends from is what it
    declares: neither speaks against it. Checkpoints of the teacher's own project and of the fork
    point's count: a third team could make one that lies near the teacher, to cast doubt on it.

    Args:
        store: Whose records are asked.
        fork_point: Digest of the checkpoint that the declared parent was trained from.
        teacher: The teacher's record.

    Returns:
        Digests of at most ``MOST`` checkpoints, in the order of their records.
    """
    lineage, records = Lineage(store), Records(store)
    related = {teacher, *lineage.ancestors(teacher), *lineage.descendants(teacher)}
    _makers = lineage.index.makers(fork_point)
    found: dict[str, None] = {}
    believed = {"", *(records.read(digest).project for digest in (teacher, *_makers) if digest)}
    for digest in lineage.index.users(fork_point):
        if records.read(digest).project not in believed:
            continue
        started = any(
            item.role == "start" and item.artifact == fork_point
            for item in records.read(digest).inputs
        )
        made = records.output(digest)
        if started and digest not in related and made and made.output_kind == "checkpoint":
            found[made.output] = None
    return list(found)[:MOST]
