"""What is possible where a ledger lacks displacements, and how exact a replayed split is."""

from tasks.ledger.reader import Ledger
from tasks.ledger.split_adamw import UNREPLAYED
from tasks.platform.progress import format_seconds


def can_replay(ledger: Ledger) -> bool:
    """Return whether a ledger kept enough to recompute its displacements."""
    return bool(ledger.manifest.checkpoints) and next(ledger.rollouts(), None) is not None


def without_ledger(reference: str, seconds: float, ledger: Ledger | None) -> str:
    """Return why a student cannot be audited exactly, what is possible, and its cost.

    Args:
        reference: The student.
        seconds: Duration of its round; 0 if its record does not give it.
        ledger: Its ledger, without displacements; None without a ledger.
    """
    took = f"about {format_seconds(seconds)}" if seconds else "as long as the round itself"
    why = (
        "it has no ledger in this store"
        if ledger is None
        else "its ledger holds no displacements, which split the updates by teacher"
    )
    return (
        f"{reference!r} cannot be audited exactly: {why}. These answers are possible, at this "
        "cost:\n  (1) exact: run its consolidation again with ledger_displacements on. This takes "
        f"{took}; the records give the same student, and then every question can be answered.\n  "
        f"(2) {_replay(seconds, ledger)}\n  (3) absence only: run its consolidation again without "
        "a teacher (mopd settings, distil.masked), and once with all teachers. Each run takes "
        f"{took}.\n  (4) likelihood only: compare the log-probabilities of teachers and start, in "
        "seconds (from Python). This does not look at the training."
    )


def _replay(seconds: float, ledger: Ledger | None) -> str:
    if ledger is None:
        return "approximate, by replay: not possible, because no rollouts were kept."
    if not can_replay(ledger):
        lacking = "weights to start from" if next(ledger.rollouts(), None) else "rollouts"
        return f"approximate, by replay: not possible, because its ledger kept no {lacking}."
    kept = sum(1 for _ in ledger.rollouts())
    whole = f", which took about {format_seconds(seconds)}" if seconds else ""
    return (
        f"approximate: `provost audit STUDENT --replay` computes displacements from the {kept} "
        f"rollouts in its ledger, once. It takes less time than the round{whole}. The "
        "unexplained rest is shown as a part of its own."
    )


def replay_words(ledger: Ledger) -> str:
    """Return the accuracy of a replayed split in words; "" for an exact one."""
    segments = ledger.manifest.segments
    if UNREPLAYED not in ledger.parts:
        return ""
    unexplained = sum(s.norms[UNREPLAYED] for s in segments) / sum(s.change for s in segments)
    kept = sum(1 for _ in ledger.rollouts())
    return (
        "The split is approximate: the ledger holds no displacements, so they were recomputed "
        f"from its {kept} kept rollouts. The unexplained rest of the weights' change "
        f"({unexplained:.0%} of its norm) is the part {UNREPLAYED!r}, which belongs to no teacher."
    )
