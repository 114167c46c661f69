"""A student's round rehearsed without some of its teachers, as a checkpoint: nothing is sampled.

What the student would most likely be without them, for less than a retrain. How near it comes is
measured (docs/attribution.md). One process does it, as of a replay.
"""

from collections.abc import Sequence
from pathlib import Path

from lineage.artifacts import Artifact
from tasks.mopd.cast import cast_of
from tasks.mopd.replay import derivation_again, order_of, reopen
from tasks.onpolicy.rehearsal import KeptWithout, rehearse
from tasks.onpolicy.replay import put_weights
from tasks.onpolicy.result import save_student
from tasks.progress import format_seconds, report
from tasks.step import Bench, Measurements


def rehearse_round(bench: Bench, student: str, without: Sequence[str]) -> Artifact:
    """Return a student that its other teachers taught alone, as a recorded checkpoint.

    Args:
        bench: Where it is made.
        student: A reference to a published student with a ledger that kept rollouts.
        without: Teachers to leave out; what was masked in the student itself stays so.

    Raises:
        LineageError: for a reference that nothing answers to.
        ValueError: for a student that no plan is known of, or that has no ledger; for names that
            are none of its teachers, or all of them.
    """
    order, seconds = order_of(bench, student)
    settings = order.settings
    absent = sorted({*settings.distil.masked, *without})
    _refuse(absent, without, [teacher.name for teacher in order.plan.teachers])
    cast = cast_of(bench.store, order.plan, settings)
    derivation = derivation_again(
        bench.project, order, cast, "rehearsal", "rehearsed", without=list(absent)
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        took = f"; the round took {format_seconds(seconds)}" if seconds else ""
        report("rehearse", 0, 0, message=f"without {' and '.join(absent)}{took}")
        again = reopen(bench, order, cast, record=False)
        weight = settings.distil.outcome_weight
        ends = rehearse(again.learner, KeptWithout(again.objective, again.ledger, absent, weight))
        put_weights(again.learner, ends)
        return save_student(again.learner, again.policy.tokenizer, folder / "model")

    return bench.find_or_make(derivation, "checkpoint", make, owner="consolidation")


def _refuse(absent: Sequence[str], without: Sequence[str], teachers: Sequence[str]) -> None:
    unknown = sorted(set(without) - set(teachers))
    if unknown:
        raise ValueError(
            f"{unknown} cannot be left out: the teachers of this student are {list(teachers)}"
        )
    if not without:
        raise ValueError(f"nothing is to be left out: name at least one of {list(teachers)}")
    if len(absent) == len(teachers):
        raise ValueError(
            f"without {absent} nobody is left to learn from: what the student started from "
            "answers for the absence of all"
        )
