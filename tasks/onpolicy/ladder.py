"""Chooses the rung of a teacher's climb for each stage of a staged ladder. Pure; no torch.

With S stages, stage s (from 1) should bring the student s / S of the way to the teacher. The gate
measures the distance of a rung: KL(student || rung) on the student's own rollouts. Without a
measurement, optimizer steps replace it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lineage.artifacts import Rung
from tasks.contracts.handover import PlannedTeacher
from tasks.contracts.refusal import RefusedError

LEAST_MEASURED = 8
"""Minimum number of measured rungs of a longer ladder; each takes one forward pass."""


@dataclass(frozen=True)
class Staged:
    """A rung chosen for a stage."""

    rung: Rung
    kl: float | None
    """KL(student || rung) in nats per token, if it was measured."""


def earlier_rungs(teacher: PlannedTeacher, num_stages: int) -> list[Staged]:
    """Return a teacher's rung for each stage but the last, which is the teacher itself.

    The rungs are nearest in KL to equal fractions of the teacher's KL, and each is later in the
    climb than the one before. Without a measurement, they are evenly spaced in the order of the
    climb. The student as its own teacher has no climb and no rungs.

    Raises:
        ValueError: for a ladder with fewer rungs than there are stages.
    """
    if num_stages == 1 or teacher.is_self:
        return []
    if len(teacher.ladder) < num_stages:
        raise RefusedError(
            "too-few-rungs",
            f"the teacher {teacher.name!r} has {len(teacher.ladder)} rungs, fewer than the "
            f"{num_stages} ladder stages: lower ladder_stages, or ask its team to keep more rungs",
        )
    parts = range(1, num_stages)
    if not teacher.ladder_kl:
        places = [len(teacher.ladder) * part // num_stages - 1 for part in parts]
        return [Staged(teacher.ladder[place], None) for place in places]
    rungs = {rung.step: rung for rung in teacher.ladder}
    *measured, last = teacher.ladder_kl
    targets = [last.kl * part / num_stages for part in parts]
    chosen = nearest_in_order([measurement.kl for measurement in measured], targets)
    return [Staged(rungs[measured[place].step], measured[place].kl) for place in chosen]


def nearest_in_order(values: Sequence[float], targets: Sequence[float]) -> list[int]:
    """Return the place of a value for each target, in rising order and as near as possible.

    The choice has the smallest sum of distances of all rising choices, because a climb need not
    move away from the student evenly or monotonically. Of equal choices, it is the earliest.

    Raises:
        ValueError: for fewer values than targets.
    """
    if len(values) < len(targets):
        raise RefusedError(
            "too-few-measured-rungs",
            f"{len(targets)} earlier rungs are needed, but only {len(values)} have a finite KL: "
            "lower ladder_stages, or ask its team to check the rungs",
        )
    # best[n]: the least sum, and the places, for the targets so far among the first n values.
    best: list[tuple[float, list[int]] | None] = [(0.0, [])] * (len(values) + 1)
    for target in targets:
        extended: list[tuple[float, list[int]] | None] = [None]
        for place, value in enumerate(values):
            before, without = best[place], extended[place]
            if before is None:
                extended.append(without)
                continue
            with_value = (before[0] + abs(value - target), [*before[1], place])
            extended.append(
                with_value if without is None or with_value[0] < without[0] else without
            )
        best = extended
    assert best[-1] is not None
    return best[-1][1]


def rungs_to_measure(ladder: Sequence[Rung], num_stages: int) -> list[Rung]:
    """Return the rungs before the teacher to measure: all, or an even selection of many.

    They are twice as many as the earlier stages, and at least ``LEAST_MEASURED``. In an even climb,
    the nearest is then within half a stage of its target.
    """
    earlier = list(ladder[:-1]) if num_stages > 1 else []
    most = max(LEAST_MEASURED, 2 * (num_stages - 1))
    if len(earlier) <= most:
        return earlier
    return [earlier[(2 * place + 1) * len(earlier) // (2 * most)] for place in range(most)]
