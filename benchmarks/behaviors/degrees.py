"""Whether behaviors that several teachers hold in degrees are answered in degrees.

Where both teachers of a domain were taught a behavior, the known share of one is its part of both
doses. Where a stranger was taught it as well, in the same dose, and never heard, the known share of
the heard teacher is 1 as to who trained the student.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.behaviors.items import FORMS, AuditItem, Table, smaller
from benchmarks.behaviors.judging import (
    Floats,
    answered_share,
    mean_of,
    rank_correlations,
    resampled,
)
from benchmarks.behaviors.methods import BOTH, METHODS
from benchmarks.behaviors.taught import ALSO, TWO


def degrees(asked: Sequence[AuditItem], method: str) -> dict[str, dict[str, Any]]:
    """Return by form how a method's shares follow the known ones.

    ``rank`` is the rank correlation of answered and known shares of the first of both teachers, and
    ``error`` their mean distance. ``heard`` is the mean answered share of a teacher that was heard
    beside a stranger.
    """
    return {form: _of_form([item for item in asked if item.form == form], method) for form in FORMS}


def nats_of(item: AuditItem, method: str) -> Table:
    """Return the nats whose shares a method answers with: of two tables, the smaller value."""
    return smaller(item) if method == BOTH else METHODS[method][0](item)


def _of_form(asked: Sequence[AuditItem], method: str) -> dict[str, Any]:
    two = [item for item in asked if item.group == TWO]
    known, answered = [], []
    for item in two:
        one, other = item.truth
        table = nats_of(item, method)
        known.append(item.doses[one] / (item.doses[one] + item.doses[other]))
        answered.append(answered_share(table[one], table[other]))

    def rank(weight_RN: Floats) -> Floats:
        rows = [rank_correlations([answered], known, weight_N)[0] for weight_N in weight_RN]
        return np.array(rows)

    distances = np.abs(np.array(known) - np.array(answered))
    clusters = [item.cluster for item in two]
    also = [item for item in asked if item.group == ALSO]
    heard = mean_of([_heard(item, method) for item in also])
    return {
        "rank": resampled(clusters, rank) if two else {},
        "error": resampled(clusters, mean_of(distances)) if two else {},
        "heard": resampled([item.cluster for item in also], heard) if also else {},
    }


def _heard(item: AuditItem, method: str) -> float:
    (heard,) = item.truth
    (stranger,) = set(item.held) - {heard}
    table = nats_of(item, method)
    return answered_share(table[heard], table[stranger])
