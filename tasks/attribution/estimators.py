"""Estimators of the source of a behavior, beside the path integral, and intervals over behaviors.

Only the path integral (``path_integral``) adds up to the effect of training. An audit shows these
three beside it: the first-order effect, surgery on the weights, and the baseline that they must
beat. ``benchmarks`` compares more.

An interval is the percentile bootstrap over behaviors, never over tokens: tokens of one response
are not independent.

Shapes: B behaviors, N response tokens of them together, P sources, R resamples.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.attribution.behavior import Encoded
from tasks.attribution.document import ShareEstimate
from tasks.attribution.trajectory import Scorer, Stretch, Weights, size_of
from tasks.ledger.schema import Segment
from tasks.ledger.split_adamw import RESERVED
from tasks.statistics import bootstrap_means, percentile_limits

FIRST_ORDER = "tracin, bounded"
SURGERY = "surgery"
DOMAIN_OWNER = "owner of the domain"
LOG_RATIO = "teacher over fork point"
"""Name of the log-ratio of a teacher over the start, by which an audit names teachers."""
_MANY_BYTES = 20 << 20
"""Bytes of weights from which matrix products take longer than the calls of a pass."""

ByName = Mapping[str, Tensor]
"""Estimated contribution of each source to each behavior [B]."""


@dataclass(frozen=True)
class EstimatorInput:
    """The inputs of an estimator."""

    encoded: Encoded
    scorer: Scorer
    course: Callable[[], Iterable[Stretch]]
    """Walks the run from its start at each call."""
    segments: tuple[Segment, ...]
    teachers: Mapping[str, Callable[[], Weights]]
    """Loads a teacher's own weights, on demand."""
    owners: Mapping[str, str]
    """The teacher of each domain by routing."""

    @property
    def sources(self) -> list[str]:
        """Sources that a behavior may be attributed to; decay and rounding are not among them."""
        return [part for part in self.segments[0].norms if part not in RESERVED]


def bounded_first_order(evidence: EstimatorInput) -> ByName:
    """Return the first-order effect of each source in nats, bounded by the possible effect.

        max(sum over k of grad f(w_k) . D_k[s],  f(w_end))

    Without a source, f(w_end) changes by minus the first term, and the resulting log-probability
    cannot exceed 0. Most audited behaviors already have a probability near 1. For a teacher with
    updates against them, TracIn predicts an increase of many nats without the teacher, which is
    impossible. The log-odds against a contrast have no such bound.
    """
    found, end = first_order(evidence)
    ended_B = evidence.encoded.total(evidence.scorer.log_probs(end))
    against = [item.contrast is not None for item in evidence.encoded.behaviors]
    least_B = ended_B.masked_fill(torch.tensor(against), -torch.inf)
    return {source: torch.maximum(nats_B, least_B) for source, nats_B in found.items()}


def surgery_effect(evidence: EstimatorInput) -> ByName:
    """Return each behavior's loss in nats if a source's displacement is taken out.

    This is the effect of surgery on the final weights, not of a retrain.
    """
    taken: dict[str, dict[str, Tensor]] = {}
    end: dict[str, Tensor] = {}
    for stretch in evidence.course():
        end = stretch.at(1.0)
        for source in evidence.sources:
            moved = stretch.parts[source]
            own = taken.get(source)
            taken[source] = {n: t if own is None else own[n] + t for n, t in moved.items()}
        del stretch, moved
    whole_N = evidence.scorer.log_probs(end)
    found = {}
    for source, moved in taken.items():
        without_N = evidence.scorer.log_probs({n: t - moved[n] for n, t in end.items()})
        found[source] = evidence.encoded.total(whole_N - without_N)
    return found


def domain_owner(evidence: EstimatorInput) -> ByName:
    """Return 1 for the teacher of the behavior's domain, for any response, and 0 for others."""
    behaviors = evidence.encoded.behaviors
    return {
        source: torch.tensor(
            [float(evidence.owners.get(item.domain) == source) for item in behaviors]
        )
        for source in evidence.sources
    }


ESTIMATORS: Mapping[str, Callable[[EstimatorInput], ByName]] = {
    FIRST_ORDER: bounded_first_order,
    SURGERY: surgery_effect,
    DOMAIN_OWNER: domain_owner,
}
"""The estimators that an audit shows beside the path integral."""


def first_order(evidence: EstimatorInput) -> tuple[dict[str, Tensor], Weights]:
    """Return the first-order effect of each source [B], and the final weights of the run.

    The behavior's gradient at the start of each segment, times each source's displacement in it:
    TracIn (2002.08484, eq. 1) over segments instead of steps. The displacements are AdamW's own, so
    they include its preconditioner. The result is in nats, but it need not add up.
    """
    total = {source: torch.zeros(len(evidence.encoded.behaviors)) for source in evidence.sources}
    end: Weights = {}
    for stretch in evidence.course():
        directions = [stretch.parts[source] for source in evidence.sources]
        slopes_PB = _slopes(evidence, stretch.start, directions)
        for source, slope_B in zip(evidence.sources, slopes_PB, strict=True):
            total[source] += slope_B
        end = stretch.at(1.0)
        del stretch, directions
    return total, end


def _slopes(evidence: EstimatorInput, start: Weights, directions: Sequence[Weights]) -> Tensor:
    """Return the derivative of each behavior along each direction [P, B], the cheaper way.

    A backward pass takes as long as two forward ones, whatever the number of directions, but each
    behavior needs its own. A pass along P directions takes as long as 2 P. It has fewer calls, and
    in small models calls are what takes long.
    """
    encoded, scorer = evidence.encoded, evidence.scorer
    count = len(encoded.behaviors)
    if count > 1 and size_of(start) < _MANY_BYTES:
        return torch.stack([encoded.total(n) for n in scorer.derivatives(start, directions)])
    columns = []
    for place in range(count):
        own, _ = encoded.only(torch.arange(count) == place)
        gradient = scorer.on(own.tokens).gradient(start, own.signs_N)
        columns.append(torch.tensor([_product(gradient, way) for way in directions]))
    return torch.stack(columns, dim=1)


def _product(gradient: Weights, direction: Weights) -> float:
    return sum(
        float(torch.dot(slope.flatten(), direction[name].to(slope.device).flatten()))
        for name, slope in gradient.items()
    )


FEWEST = 5
"""Minimum number of behaviors for a bootstrap interval; fewer give too few different samples."""


def resampled(values_PB: Tensor, seed: int) -> NDArray[np.float64] | None:
    """Return the means [P, R] over resampled behaviors, the same resamples for every source.

    None for fewer than ``FEWEST`` behaviors.
    """
    return bootstrap_means(values_PB.numpy(), seed) if values_PB.shape[1] >= FEWEST else None


def estimate(values_B: Tensor, means_R: NDArray[np.float64] | None) -> ShareEstimate:
    """Return the mean over behaviors with the central 95 % of the resampled means."""
    mean = float(values_B.mean())
    if means_R is None:
        return ShareEstimate(mean=mean)
    low, high = percentile_limits(means_R)
    return ShareEstimate(mean=mean, low=low, high=high)


def share_that_name(place: int, means_PR: NDArray[np.float64]) -> float:
    """Return the share of resamples in which the source at ``place`` is the largest."""
    return float((means_PR.argmax(0) == place).mean())
