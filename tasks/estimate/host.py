"""The memory of a node's host, and what a round stores: arithmetic alone.

Each rank loads the whole student before it keeps its part. Later the first rank's host holds what
is written whole: the parts of a segment, or the training state.
"""

from tasks.estimate.memory import FP32, Phase, packed_bytes, run_size
from tasks.estimate.work import RankWork
from tasks.ledger.estimate import held_numbers, stored_bytes


def host_phases(work: RankWork) -> list[Phase]:
    """Return what the first node's host holds beside mapped files, in its largest moments."""
    here = min(work.ranks_per_node, work.num_ranks)
    student, trained = work.student.total, work.trained
    pinned = {}
    if work.load.teachers_in_host_memory:
        teachers = sum(teacher.saved_bytes * teacher.total for teacher in work.teachers)
        pinned = {"teachers, pinned": here * teachers}
    each = work.compute_bytes if work.load.loop.adapter else FP32
    found = [Phase("loading", pinned | {"student, once a rank": here * each * student})]
    if work.shares_teachers:
        states = work.largest_teacher.hidden * work.largest_teacher.saved_bytes
        tokens = here * work.rollouts_here * work.load.max_new_tokens
        pinned = {"teachers' hidden states": tokens * states}
    sources, kept = work.num_sources, work.load.ledger.displacements
    numbers = held_numbers(sources, displacements=kept)
    state = FP32 * trained * (1 + numbers.moments + numbers.displacements)
    found.append(Phase("saving a state", pinned | {"state": state}))
    if kept:
        whole = FP32 * trained * (sources + 4)
        parts = {"parts and weights": whole, "packed": 2 * packed_bytes(work)}
        found.append(Phase("closing a segment", pinned | parts))
    else:
        found.append(Phase("keeping the weights", pinned | {"weights": 2 * FP32 * trained}))
    return found


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
