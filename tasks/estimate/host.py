"""The memory of a node's host, and what a round stores: arithmetic alone.

What is written of several ranks is put together by the first one, parameter by parameter: the parts
of a segment, the training state. The student is written whole.
"""

from tasks.estimate.ledger_phases import FP32, run_size, written_at_once
from tasks.estimate.memory import Phase
from tasks.estimate.work import RankWork
from tasks.ledger.estimate import stored_bytes
from tasks.model.settings import Precision


def host_phases(work: RankWork) -> list[Phase]:
    """Return what the first node's host holds beside mapped files, in its largest moments."""
    here = min(work.ranks_per_node, work.num_ranks)
    student = work.student.total
    pinned = {}
    if work.load.teachers_in_host_memory:
        teachers = sum(teacher.saved_bytes * teacher.total for teacher in work.teachers)
        pinned = {"teachers, pinned": here * teachers}
    each = work.compute_bytes if work.load.loop.adapter else FP32
    # A loaded model is a view of its files. One rank casts all of it, and several ranks a layer.
    one = max(work.student.layer, work.student.embedding) if work.is_sharded else student
    found = [Phase("loading", pinned | {"cast, once a rank": here * each * one})]
    if work.shares_teachers:
        states = work.largest_teacher.hidden * work.largest_teacher.saved_bytes
        tokens = here * work.rollouts_here * work.load.max_new_tokens
        pinned = {"teachers' hidden states": tokens * states}
    pinned = pinned | {"rollouts": here * work.rollout_bytes}
    if work.load.servers:
        pinned = pinned | {"weights for the servers": shared_bytes(work)}
    largest = FP32 * min(work.student.largest, work.trained)
    # Both are written parameter by parameter.
    found.append(Phase("saving a state", pinned | {"a parameter": largest}))
    if work.load.ledger.displacements:
        parts = {"a parameter's parts": written_at_once(work)}
        found.append(Phase("writing a segment", pinned | parts))
    else:
        found.append(Phase("keeping the weights", pinned | {"a parameter": 2 * largest}))
    found.append(Phase("saving the student", pinned | _saving(work)))
    return found


def shared_bytes(work: RankWork) -> int:
    """Return the bytes in the file system in memory through which servers get their weights.

    The last weights are there beside the next ones.
    """
    return 2 * work.compute_bytes * work.student.total if work.load.weights_in_memory else 0


def _saving(work: RankWork) -> dict[str, int]:
    """Return what the first rank takes to write the student, whole and as it is saved.

    Adapters are merged into their base, which is loaded for it in fp32. One rank alone writes its
    own model, file by file.
    """
    shape, adapter = work.student, work.load.loop.adapter
    if not work.is_sharded and adapter is None:
        return {}
    is_rounded = work.load.loop.saved_precision is Precision.BF16
    return {
        "student": FP32 * shape.total,
        "merged": FP32 * shape.layers if adapter else 0,
        "rounded": 2 * shape.total if is_rounded else 0,
    }


def ledger_bytes(work: RankWork) -> int:
    """Return the bytes of a round's ledger."""
    return stored_bytes(run_size(work), work.load.ledger)


def stored_in_all(work: RankWork) -> int:
    """Return the bytes of ledgers, students, controls and one training state."""
    load = work.load
    students = load.rounds + load.merged_controls + load.trained_controls
    # One state at least is kept: the weights, a second moment, a first one for each source.
    state = FP32 * work.trained * (2 + work.num_sources)
    return load.rounds * ledger_bytes(work) + FP32 * work.student.total * students + state
