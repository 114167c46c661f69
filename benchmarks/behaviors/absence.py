"""What the student would do without a teacher: retrains, and what stands in for them.

Two teachers of a world are left out, one at a time. The truth is a retrain with another seed, so no
method shares chance with it. A retrain of the student's own seed is the ceiling. A rehearsal is
made twice: on as many rollouts as the product's default keeps, and on all of them.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.behaviors.asking import Says
from benchmarks.behaviors.making import MadeWorld, Numbers, without
from benchmarks.behaviors.world import BehaviorWorld
from tasks.attribution.subject import find_subject
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import KeptRollout, LedgerSettings
from tasks.mopd.counterfactual.recompute import reopen
from tasks.mopd.round_form import RecomputeSpec
from tasks.mopd.round_models import round_models
from tasks.onpolicy.kept_rollouts import UncorrectedRollouts
from tasks.onpolicy.recompute import Weights, recompute_without
from tasks.platform.step_runner import StepRunner

OTHER_SEED = 1000
"""What is added to a world's number for the retrains that are the truth."""
STUDENT, OTHER, OWN = "student", "other seed", "own seed"
REHEARSAL, WHOLE_REHEARSAL = "rehearsal", "rehearsal on all rollouts"
DEFAULT_KEPT = LedgerSettings().rollouts_per_teacher
"""Rollouts of each teacher and step that a ledger keeps unless a user says otherwise."""


@dataclass(frozen=True)
class FewerKept(Ledger):
    """A ledger as it would be with fewer kept rollouts of each teacher and step.

    A ledger lists the rollouts of a teacher and step as they were drawn, so the first of them are
    those that a smaller sample would have.
    """

    most: int

    def rollouts(self) -> Iterator[KeptRollout]:
        """Yield the rollouts that are left."""
        seen: dict[tuple[int, str], int] = {}
        for entry in super().rollouts():
            key = entry.step, entry.teacher
            seen[key] = seen.get(key, 0) + 1
            if seen[key] <= self.most:
                yield entry


def left_out(world: BehaviorWorld) -> tuple[str, str]:
    """Return two teachers: one that shares its domain, and one that has its own."""
    rng = random.Random(f"absence {world.number}")
    shared, alone = (
        [seat.name for seat in world.seats if (seat.share < 1) is is_shared]
        for is_shared in (True, False)
    )
    return rng.choice(shared), rng.choice(alone)


def measured(
    runner: StepRunner, world: BehaviorWorld, made: MadeWorld, numbers: Numbers
) -> dict[str, Any]:
    """Return what retrains and rehearsals say of every behavior."""
    says, left = Says(runner, world, made), left_out(world)
    every_masked = [(), *((teacher,) for teacher in left)]
    found = {STUDENT: says.of(made.student)}
    for name, seed in ((OTHER, world.number + OTHER_SEED), (OWN, world.number)):
        for masked in every_masked:
            if masked or name == OTHER:
                checkpoint = without(runner, made, numbers, masked, seed)
                found[called(name, masked)] = says.of(checkpoint)
    kept = numbers.round.ledger.rollouts_per_teacher
    for name, most in ((REHEARSAL, DEFAULT_KEPT), (WHOLE_REHEARSAL, kept)):
        for masked in every_masked:
            weights = rehearsed(runner, world, made, numbers, masked, most)
            found[called(name, masked)] = says.under(weights)
    return {"world": world.number, "left_out": list(left), "says": found}


def called(run: str, masked: Sequence[str]) -> str:
    """Return the name of a run in a row."""
    return " without ".join([run, *masked])


def rehearsed(
    runner: StepRunner,
    world: BehaviorWorld,
    made: MadeWorld,
    numbers: Numbers,
    masked: Sequence[str],
    most: int,
) -> Weights:
    """Return a rehearsed student's weights; the steps are those of ``rehearse_round``, unpublished.

    Args:
        runner: Runs the steps.
        world: Its number is the seed.
        made: Its models.
        numbers: Settings of the stages.
        masked: Teachers that are left out.
        most: Kept rollouts of each teacher and step.
    """
    subject = find_subject(runner, made.student.digest)
    spec = RecomputeSpec(
        plan=made.plan,
        settings=numbers.round,
        seed=world.number,
        student=made.student,
        ledger=subject.ledger_artifact,
    )
    models = round_models(runner.store, made.plan, numbers.round)
    opened = reopen(runner, spec, models, record=False)
    fewer = FewerKept(opened.ledger.folder, opened.ledger.manifest, most)
    kept = UncorrectedRollouts(opened.objective, fewer, list(masked))
    return recompute_without(opened.learner, kept)
