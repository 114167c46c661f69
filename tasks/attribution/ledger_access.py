"""What an audit of a student can answer, and its cost, where it has no full ledger."""

from lineage.record import Derivation
from tasks.ledger.reader import Ledger
from tasks.ledger.split_adamw import UNREPLAYED
from tasks.progress import format_seconds


def refuse_unfit(reference: str, derivation: Derivation) -> None:
    """Raise ValueError for a model that no ledger can split by teacher."""
    if derivation.kind != "mopd":
        raise ValueError(
            f"{reference!r} was made by {derivation.kind}, not by multi-teacher distillation, so "
            "there are no teachers' updates to tell apart: audit a student, such as "
            "student@released; `provost lineage show` says what this one is made of"
        )
    loop = derivation.settings.get("loop")
    if isinstance(loop, dict) and loop.get("adapter"):
        raise ValueError(
            f"{reference!r} learned by adapters, and its ledger is of these and not of its whole "
            "weights: an audit of adapters is not built. A retrain with each teacher masked in "
            "turn answers for its absence"
        )


def can_replay(ledger: Ledger) -> bool:
    """Return whether displacements can be made again from what a ledger kept."""
    return bool(ledger.manifest.checkpoints) and next(ledger.rollouts(), None) is not None


def without_ledger(reference: str, seconds: float, ledger: Ledger | None) -> str:
    """Return why a student cannot be audited exactly, what is possible, and what that costs.

    Args:
        reference: The student.
        seconds: That its round took; 0 where its record does not say.
        ledger: Its ledger, which holds no displacements; None where it has none at all.
    """
    took = f"about {format_seconds(seconds)}" if seconds else "as long as it took then"
    why = (
        "it has no ledger in this store"
        if ledger is None
        else "its ledger holds no displacements, which split what training did by teacher"
    )
    return (
        f"{reference!r} cannot be audited as it is: {why}. What is possible, and what it costs:\n"
        f"  (1) exact: run its consolidation again with ledger_displacements on: {took}; the "
        "records give the same student, and then every question can be answered.\n"
        f"  (2) {_replay(took, ledger)}\n"
        "  (3) absence alone: run its consolidation again without a teacher (mopd settings, "
        f"distil.masked), and once with all: {took} for each.\n"
        "  (4) who would say it: compare the log-probabilities of teachers and start, in seconds "
        "(from Python); it knows nothing of the training."
    )


def _replay(took: str, ledger: Ledger | None) -> str:
    if ledger is None:
        return "approximate, by replay: not possible, as no rollouts were kept."
    if not can_replay(ledger):
        lacking = "weights to begin from" if next(ledger.rollouts(), None) else "rollouts"
        return f"approximate, by replay: not possible, as its ledger kept no {lacking}."
    kept = sum(1 for _ in ledger.rollouts())
    return (
        f"approximate: `provost audit STUDENT --replay` makes displacements from the {kept} "
        f"rollouts that its ledger kept, once: less than the round, which took {took}. What they "
        "do not explain is shown as a part of its own."
    )


def replay_words(ledger: Ledger) -> str:
    """Return how far a replayed split can be trusted, or "" for an exact one."""
    segments = ledger.manifest.segments
    if UNREPLAYED not in ledger.parts:
        return ""
    unexplained = sum(s.norms[UNREPLAYED] for s in segments) / sum(s.change for s in segments)
    kept = sum(1 for _ in ledger.rollouts())
    return (
        f"The split is approximate: the ledger holds no displacements, so they were made again "
        f"from the {kept} rollouts that it kept. What these do not explain of the weights' change "
        f"({unexplained:.0%} of it, as a norm) is the part {UNREPLAYED!r}, which belongs to "
        "no teacher."
    )
