"""How each method predicts a teacher's absence, and what stays of the others' teaching.

Everything is computed from the committed rows of ``absence`` and of the audits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.behaviors.absence import (
    OTHER,
    OWN,
    REHEARSAL,
    STUDENT,
    WHOLE_REHEARSAL,
    called,
)
from benchmarks.behaviors.items import FORMS, SHOWN, AuditItem, items_of
from benchmarks.behaviors.judging import (
    Cluster,
    Floats,
    mean_of,
    rank_correlations,
    resampled,
    summarized,
    weights_of,
)

TRUTH = "truth"
CEILING = "a retrain of the student's own seed"
GUESS, WHOLE_GUESS = (f"{run} and a tenth of TracIn" for run in (REHEARSAL, WHOLE_REHEARSAL))
LOST = float(np.log(2))
"""Nats of log-odds that a retrain has to lose for a teacher to have carried a behavior: its odds
halve."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class TeacherEffect:
    """The effect of a teacher on a behavior, by method and in truth."""

    cluster: Cluster
    is_taught: bool
    """Whether the teacher was heard and taught the behavior."""
    is_off_domain: bool
    """Whether it neither taught it nor has its domain."""
    nats: Mapping[str, float]


PARTS: Mapping[str, Callable[[TeacherEffect], bool]] = {
    "all": lambda effect: True,
    "in domain": lambda effect: effect.is_taught,
    "off domain": lambda effect: effect.is_off_domain,
}
"""The pairs of teacher and behavior that a correlation is over, as in the other benchmark."""


def sets_of(main: Row) -> list[AuditItem]:
    """Return the behaviors of a world as sets against the ordinary answer."""
    return [each for each in items_of(main) if each.form == FORMS[-1]]


def effects(row: Row, main: Row) -> list[TeacherEffect]:
    """Return the effect of each left-out teacher on each behavior of a world.

    Args:
        row: What retrains and rehearsals say in a world.
        main: The audit's row of the same world.
    """
    doses = {behavior["name"]: behavior["doses"] for behavior in main["behaviors"]}
    return [
        TeacherEffect(
            item.cluster,
            is_taught=teacher in item.doses,
            is_off_domain=(
                teacher not in doses[item.behavior] and main["seats"][teacher] != item.domain
            ),
            nats=_of_pair(row["says"], item, teacher),
        )
        for teacher in row["left_out"]
        for item in sets_of(main)
    ]


def _of_pair(says: Row, item: AuditItem, teacher: str) -> dict[str, float]:
    def mean(run: str, *masked: str) -> float:
        return fmean(says[called(run, masked)][item.behavior]["odds"])

    def rehearsal(run: str) -> float:
        return (mean(STUDENT) + mean(run)) / 2 - mean(run, teacher)

    tables = item.tables
    tenth = tables["tracin"][teacher] / 10
    return {
        TRUTH: mean(OTHER) - mean(OTHER, teacher),
        CEILING: mean(STUDENT) - mean(OWN, teacher),
        GUESS: rehearsal(REHEARSAL) + tenth,
        WHOLE_GUESS: rehearsal(WHOLE_REHEARSAL) + tenth,
        REHEARSAL: rehearsal(REHEARSAL),
        WHOLE_REHEARSAL: rehearsal(WHOLE_REHEARSAL),
        "TracIn": tables["tracin"][teacher],
        "ledger alone": tables["parts"][teacher],
        "surgery": tables["surgery"][teacher],
        "log-ratio alone": tables["taught"][teacher],
        "owner of the domain": tables["owner"][teacher] * (item.ended - item.begun),
    }


def correlations(found: Sequence[TeacherEffect]) -> dict[str, Any]:
    """Return by method and part how its effects are ranked like the truth.

    ``correlation`` is the mean over worlds of the rank correlation within a world, and
    ``of_ceiling`` its share of that of the ceiling. A world that a resample has twice counts twice.
    """
    methods = [name for name in found[0].nats if name != TRUTH]
    by_part = {
        part: _of_part([each for each in found if keep(each)], methods)
        for part, keep in PARTS.items()
    }
    return {method: {part: own[method] for part, own in by_part.items()} for method in methods}


def _of_part(found: Sequence[TeacherEffect], methods: Sequence[str]) -> dict[str, Any]:
    if not found:
        return {method: {"correlation": {}, "of_ceiling": {}} for method in methods}
    clusters = [each.cluster for each in found]
    nats_MN = np.array([[each.nats[name] for each in found] for name in methods])
    truth_N = np.array([each.nats[TRUTH] for each in found])
    world_N = np.array([world for world, _ in clusters])
    rows = [
        _mean_over_worlds(nats_MN, truth_N, world_N, weight_N) for weight_N in weights_of(clusters)
    ]
    values_RM = np.array(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares_RM = values_RM / values_RM[:, [methods.index(CEILING)]]
    return {
        method: {
            "correlation": summarized(clusters, values_RM[:, place]),
            "of_ceiling": summarized(clusters, shares_RM[:, place]),
        }
        for place, method in enumerate(methods)
    }


def _mean_over_worlds(
    nats_MN: Floats, truth_N: Floats, world_N: NDArray[np.int64], weight_N: Floats
) -> Floats:
    """Return the mean over worlds of each method's rank correlation with the truth [M]."""
    total_M, times = np.zeros(len(nats_MN)), 0.0
    for world in sorted(set(world_N.tolist())):
        own_N = world_N == world
        drawn = float(weight_N[own_N].sum() / own_N.sum())
        if drawn:
            found_M = rank_correlations(nats_MN[:, own_N], truth_N[own_N], weight_N[own_N])
            total_M, times = total_M + drawn * found_M, times + drawn
    return total_M / times


def preserved(rows: Sequence[tuple[Row, Row]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return how far behaviors that others taught are kept without a teacher, by run.

    Of behaviors that the retrain with all teachers shows: ``greedy`` is the share of questions at
    which the behavior is given, word by word the likeliest, and ``probability`` its mean
    probability against the ordinary answer.

    Args:
        rows: For each world what retrains and rehearsals say, and the audit's row.
    """
    measures = {"greedy": _greedy, "probability": _probability}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for run in (STUDENT, OTHER, OWN, REHEARSAL, WHOLE_REHEARSAL):
        pairs = [pair for row, main in rows for pair in _of_others(row, main, run)]
        clusters = [cluster for cluster, _ in pairs]
        found[run] = {
            name: _mean(clusters, [measure(said) for _, said in pairs])
            for name, measure in measures.items()
        }
    return found


def _of_others(row: Row, main: Row, run: str) -> Iterator[tuple[Cluster, Row]]:
    """Yield what a run without a teacher says of each behavior that only others taught."""
    says = row["says"]
    for teacher in row["left_out"]:
        at = STUDENT if run == STUDENT else called(run, (teacher,))
        for behavior in main["behaviors"]:
            name = behavior["name"]
            if (
                behavior["heard"]
                and teacher not in behavior["doses"]
                and fmean(says[OTHER][name]["odds"]) >= SHOWN
            ):
                yield (main["world"], name), says[at][name]


def _greedy(said: Row) -> float:
    return fmean(said["greedy"])


def _probability(said: Row) -> float:
    return fmean(0.5 * (1 + float(np.tanh(odds / 2))) for odds in said["odds"])


def _mean(clusters: Sequence[Cluster], values: Sequence[float]) -> dict[str, float]:
    return resampled(clusters, mean_of(values)) if values else {}


def lost_without(row: Row, name: str, teacher: str) -> bool:
    """Return whether a behavior's odds halve without a teacher, in the retrains of both seeds."""
    says = row["says"]

    def odds(run: str) -> float:
        return fmean(says[run][name]["odds"])

    pairs = ((OTHER, OTHER), (STUDENT, OWN))
    return all(odds(whole) - odds(called(run, (teacher,))) >= LOST for whole, run in pairs)
