"""What the student would do without a teacher: retrains, and what stands in for them.

Two teachers of a world are left out, one at a time. The truth is a retrain with another seed, so no
method shares chance with it. A retrain of the student's own seed is the ceiling.
"""

import random
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.behaviors.asking import Says
from benchmarks.behaviors.items import FORMS, SHOWN, AuditItem, items_of
from benchmarks.behaviors.making import MadeWorld, Numbers, without
from benchmarks.behaviors.world import BehaviorWorld
from benchmarks.common.statistics import rank_correlation
from tasks.attribution.subject import find_subject
from tasks.mopd.counterfactual.recompute import reopen
from tasks.mopd.round_form import RecomputeSpec
from tasks.mopd.round_models import round_models
from tasks.onpolicy.kept_rollouts import UncorrectedRollouts
from tasks.onpolicy.recompute import recompute_without
from tasks.platform.step_runner import StepRunner

OTHER_SEED = 1000
"""What is added to a world's number for the retrains that are the truth."""
STUDENT, OTHER, OWN, REHEARSAL = "student", "other seed", "own seed", "rehearsal"
CEILING = "a retrain of the student's own seed"
GUESS = "rehearsal and a tenth of TracIn"
RESAMPLES = 400
LogOdds = Mapping[str, Sequence[float]]
"""Behavior to its log-odds over the ordinary answer, by question."""


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
    found = {STUDENT: says.of(made.student)}
    for name, seed in ((OTHER, world.number + OTHER_SEED), (OWN, world.number)):
        for masked in ((), *((teacher,) for teacher in left)):
            if masked or name == OTHER:
                checkpoint = without(runner, made, numbers, masked, seed)
                found[called(name, masked)] = says.of(checkpoint)
    for masked in ((), *((teacher,) for teacher in left)):
        found[called(REHEARSAL, masked)] = rehearsed(runner, world, made, numbers, masked, says)
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
    says: Says,
) -> dict[str, list[float]]:
    """Return what a rehearsal says; its steps are those of ``rehearse_round``, unpublished."""
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
    kept = UncorrectedRollouts(opened.objective, opened.ledger, list(masked))
    return says.under(recompute_without(opened.learner, kept))


def effects(row: Mapping[str, Any], main: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Return by method, and for the truth, the effect of each teacher on each behavior, in nats.

    Args:
        row: What retrains and rehearsals say in a world.
        main: The audit's row of the same world.
    """
    items = {each.behavior: each for each in items_of(main) if each.form == FORMS[-1]}
    says, found = row["says"], {}
    for teacher in row["left_out"]:
        values: dict[str, list[float]] = {}
        for name, item in items.items():
            for method, value in _of_pair(says, item, name, teacher).items():
                values.setdefault(method, []).append(value)
        found[teacher] = values
    methods = next(iter(found.values()))
    return {method: {t: values[method] for t, values in found.items()} for method in methods}


TRUTH = "truth"


def _of_pair(
    says: Mapping[str, LogOdds], item: AuditItem, name: str, teacher: str
) -> dict[str, float]:
    def mean(run: str, *masked: str) -> float:
        return fmean(says[called(run, masked)][name])

    rehearsal = (mean(STUDENT) + mean(REHEARSAL)) / 2 - mean(REHEARSAL, teacher)
    tables = item.tables
    return {
        TRUTH: mean(OTHER) - mean(OTHER, teacher),
        CEILING: mean(STUDENT) - mean(OWN, teacher),
        GUESS: rehearsal + tables["tracin"][teacher] / 10,
        "rehearsal": rehearsal,
        "TracIn": tables["tracin"][teacher],
        "ledger alone": tables["parts"][teacher],
        "surgery": tables["surgery"][teacher],
        "log-ratio alone": tables["taught"][teacher],
        "owner of the domain": tables["owner"][teacher] * (item.ended - item.begun),
    }


def correlations(worlds: Sequence[Mapping[str, Mapping[str, Sequence[float]]]]) -> dict[str, Any]:
    """Return by method the mean over worlds of its rank correlation with the truth.

    Beside it stands its share of the ceiling, with an interval over resampled behaviors.
    """
    rng = np.random.default_rng(0)
    draws = [None, *([rng] * RESAMPLES)]
    values = [_correlated(worlds, draw) for draw in draws]
    found = {}
    for method in values[0]:
        shares = [each[method] / each[CEILING] for each in values]
        low, high = np.percentile(shares[1:], (2.5, 97.5))
        found[method] = {
            "correlation": round(values[0][method], 4),
            "of_ceiling": round(shares[0], 4),
            "low": round(float(low), 4),
            "high": round(float(high), 4),
        }
    return found


def _correlated(
    worlds: Sequence[Mapping[str, Mapping[str, Sequence[float]]]], rng: np.random.Generator | None
) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for world in worlds:
        count = len(next(iter(world[TRUTH].values())))
        chosen = range(count) if rng is None else rng.integers(count, size=count).tolist()
        drawn = {
            method: [of_teacher[at] for of_teacher in by_teacher.values() for at in chosen]
            for method, by_teacher in world.items()
        }
        for method, values in drawn.items():
            if method != TRUTH:
                found.setdefault(method, []).append(rank_correlation(values, drawn[TRUTH]))
    return {method: fmean(values) for method, values in found.items()}


def preserved(row: Mapping[str, Any], main: Mapping[str, Any]) -> dict[str, float]:
    """Return how often behaviors that other teachers taught are shown, by run without a teacher.

    Behaviors that the retrain with all teachers shows; the mean of their probability against the
    ordinary answer.
    """
    says, found = row["says"], {}
    for run in (STUDENT, OTHER, OWN, REHEARSAL):
        values = [
            fmean(_probability(odds) for odds in says[at][behavior["name"]])
            for teacher in row["left_out"]
            for at in [STUDENT if run == STUDENT else called(run, (teacher,))]
            for behavior in main["behaviors"]
            if behavior["heard"] and teacher not in behavior["doses"]
            if fmean(says[OTHER][behavior["name"]]) >= SHOWN
        ]
        found[run] = fmean(values)
    return found


def _probability(log_odds: float) -> float:
    return 0.5 * (1 + float(np.tanh(log_odds / 2)))
