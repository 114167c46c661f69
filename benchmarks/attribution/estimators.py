"""Estimators that the benchmark compares with those of an audit; functions as there, by name.

Shapes: B behaviors, N response tokens of them together.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tasks.attribution.estimators import (
    DOMAIN_OWNER,
    LOG_RATIO,
    SURGERY,
    EstimatorInput,
    bounded_first_order,
    domain_owner,
    first_order,
    surgery_effect,
)
from tasks.attribution.path_integral import allocate
from tasks.attribution.trajectory import Weights

PATH_INTEGRAL = "path integral"
TRACIN = "tracin"
BOTH = "taught and heard"
REHEARSAL = "rehearsal"
REHEARSAL_AND_SLOPES = "rehearsal + a tenth of tracin, bounded"
DISTANCE = "distance moved"

Rehearse = Callable[[Sequence[str]], Weights]
"""Rehearses the run without some sources and gives the weights it ends with."""


def path_integral(evidence: EstimatorInput) -> Mapping[str, Tensor]:
    """Return each source's share of what training did; with decay and rounding they add up."""
    allocation = allocate(evidence.scorer, evidence.encoded, evidence.course())
    return {source: allocation.behaviors(source) for source in evidence.sources}


def tracin(evidence: EstimatorInput) -> Mapping[str, Tensor]:
    """Return the first-order effect of each source, unbounded."""
    return first_order(evidence)[0]


def log_ratio(evidence: EstimatorInput) -> Mapping[str, Tensor]:
    """Return log p of each teacher less log p of the fork point; it knows nothing of training."""
    start = next(iter(evidence.course())).start
    before_N = evidence.scorer.log_probs(start)
    return {
        source: evidence.encoded.total(evidence.scorer.log_probs(load()) - before_N)
        for source, load in evidence.teachers.items()
    }


def min_of_integral_and_ratio(evidence: EstimatorInput) -> Mapping[str, Tensor]:
    """Return the smaller of ``path_integral`` and ``log_ratio``; of no teacher, the former.

    Teachers' updates cancel each other where they speak about the same words in general ("tea",
    whoever asks), and the path integral hands these pushes out one by one although they came to
    nothing. A teacher that would say it may never have taught it. Who is named for both is named.
    """
    moved, says = path_integral(evidence), log_ratio(evidence)
    return {
        source: torch.minimum(parts_B, says[source]) if source in says else parts_B
        for source, parts_B in moved.items()
    }


def rehearsed(evidence: EstimatorInput, rehearse: Rehearse) -> Mapping[str, Tensor]:
    """Return what is said with a source less what a rehearsal without it says; in nats.

        (f(w_end) + f(rehearsed with all)) / 2 - f(rehearsed without s)

    The run is made again from the rollouts that its ledger kept (``onpolicy.rehearsal``), so what
    the others would have done in a source's absence, and undone, is computed. Only what the student
    would have said then is not. The first term is a mean, because the student's own chance is in
    f(w_end), and the rehearsal's lack of what was not kept in the other.
    """
    *_, last = evidence.course()
    student_N = evidence.scorer.log_probs(last.at(1.0))
    whole_N = (student_N + evidence.scorer.log_probs(rehearse(()))) / 2
    return {
        source: evidence.encoded.total(whole_N - evidence.scorer.log_probs(rehearse((source,))))
        for source in evidence.sources
    }


def rehearsed_with_slopes(evidence: EstimatorInput, rehearse: Rehearse) -> Mapping[str, Tensor]:
    """Return a rehearsal and a tenth of ``bounded_first_order``: the best guess at absence.

    A rehearsal is one run, with the chance of one. The ledger's slopes have another: where the
    rehearsal tells little of a behavior's sources apart, they order them. The tenth was chosen on
    two sets of teachers (docs/results/attribution.md); in nats they say far more than absence
    does.
    """
    slopes = bounded_first_order(evidence)
    return {
        source: nats_B + slopes[source] / 10
        for source, nats_B in rehearsed(evidence, rehearse).items()
    }


def distance_baseline(evidence: EstimatorInput) -> Mapping[str, Tensor]:
    """Return the summed norm of each source's displacements, the same for every behavior.

    A control: what it gets right needs nothing of the behavior.
    """
    count = len(evidence.encoded.behaviors)
    return {
        source: torch.full((count,), sum(s.norms[source] for s in evidence.segments))
        for source in evidence.sources
    }


ASKED: Mapping[str, Callable[[EstimatorInput], Mapping[str, Tensor]]] = {
    TRACIN: tracin,
    SURGERY: surgery_effect,
    LOG_RATIO: log_ratio,
    DOMAIN_OWNER: domain_owner,
    DISTANCE: distance_baseline,
}
"""Estimators of every set of teachers."""
OF_TWO_HOLDERS: Mapping[str, Callable[[EstimatorInput], Mapping[str, Tensor]]] = {
    LOG_RATIO: log_ratio,
    BOTH: min_of_integral_and_ratio,
    PATH_INTEGRAL: path_integral,
    TRACIN: tracin,
}
"""Estimators of behaviors that two teachers hold."""
