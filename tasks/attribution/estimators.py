"""Estimators of which source shaped a behavior, beside the path integral: a number each.

Only the path integral (``path_integral``) adds up to what training did. An audit shows these three
with it: the first-order effect, surgery on the weights, and the guess that any of them must beat.
More are compared in ``benchmarks``.

Shapes: B behaviours, N response tokens of them together.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.attribution.behaviour import Encoded
from tasks.attribution.trajectory import Scorer, Stretch, Weights
from tasks.ledger.schema import Segment
from tasks.ledger.split_adamw import RESERVED

FIRST_ORDER = "tracin, bounded"
SURGERY = "surgery"
DOMAIN_OWNER = "owner of the domain"
LOG_RATIO = "teacher over fork point"
"""How much likelier a teacher finds a behaviour than the start did; what an audit names by."""

ByName = Mapping[str, Tensor]
"""By source, how much of each behaviour [B] it is estimated to have shaped."""


@dataclass(frozen=True)
class EstimatorInput:
    """What an estimator may look at."""

    encoded: Encoded
    scorer: Scorer
    course: Callable[[], Iterable[Stretch]]
    """Walks the run anew at each call."""
    segments: tuple[Segment, ...]
    teachers: Mapping[str, Callable[[], Weights]]
    """Gives each teacher's own weights, on demand."""
    owners: Mapping[str, str]
    """Domain to the teacher that it was routed to."""

    @property
    def sources(self) -> list[str]:
        """What a behaviour may be attributed to; not decay and rounding."""
        return [part for part in self.segments[0].norms if part not in RESERVED]


def bounded_first_order(evidence: EstimatorInput) -> ByName:
    """Return the first-order effect of each source, where there is room for it; in nats.

        max(sum over k of grad f(w_k) . D_k[s],  f(w_end))

    An absence changes f(w_end) by less the first, and the log-probability that is left can't be
    above 0. Most behaviours of a question are said nearly always: of a teacher with updates against
    them TracIn says that they would be said many nats more, and there is no room. The log-odds
    against a contrast have no such bound.
    """
    found, end = first_order(evidence)
    ended_B = evidence.encoded.total(evidence.scorer.log_probs(end))
    against = [item.contrast is not None for item in evidence.encoded.behaviours]
    least_B = ended_B.masked_fill(torch.tensor(against), -torch.inf)
    return {source: torch.maximum(nats_B, least_B) for source, nats_B in found.items()}


def surgery_effect(evidence: EstimatorInput) -> ByName:
    """Return how much each behaviour loses where a source's displacement is taken out; in nats.

    The effect of surgery on the finished weights, not of a retrain.
    """
    taken: dict[str, dict[str, Tensor]] = {}
    end: dict[str, Tensor] = {}
    for stretch in evidence.course():
        end = stretch.at(1.0)
        for source in evidence.sources:
            moved = stretch.parts[source]
            own = taken.get(source)
            taken[source] = {n: t if own is None else own[n] + t for n, t in moved.items()}
    whole_N = evidence.scorer.log_probs(end)
    found = {}
    for source, moved in taken.items():
        without_N = evidence.scorer.log_probs({n: t - moved[n] for n, t in end.items()})
        found[source] = evidence.encoded.total(whole_N - without_N)
    return found


def domain_owner(evidence: EstimatorInput) -> ByName:
    """Return 1 for the teacher of the behaviour's domain, whatever was said, and 0 for others."""
    behaviours = evidence.encoded.behaviours
    return {
        source: torch.tensor(
            [float(evidence.owners.get(item.domain) == source) for item in behaviours]
        )
        for source in evidence.sources
    }


ESTIMATORS: Mapping[str, Callable[[EstimatorInput], ByName]] = {
    FIRST_ORDER: bounded_first_order,
    SURGERY: surgery_effect,
    DOMAIN_OWNER: domain_owner,
}
"""What an audit shows beside the path integral."""


def first_order(evidence: EstimatorInput) -> tuple[dict[str, Tensor], Weights]:
    """Return the first-order effect of each source [B], and the weights where the run ends.

    The behaviour's gradient where each segment begins, times what each source then added: TracIn
    (2002.08484, eq. 1) over segments in place of steps. The displacements are AdamW's own, so its
    preconditioner is in them. In nats, but it need not add up.
    """
    total = {source: torch.zeros(len(evidence.encoded.behaviours)) for source in evidence.sources}
    end: Weights = {}
    for stretch in evidence.course():
        directions = [stretch.parts[source] for source in evidence.sources]
        slopes_PN = evidence.scorer.derivatives(stretch.start, directions)
        for source, slope_N in zip(evidence.sources, slopes_PN, strict=True):
            total[source] += evidence.encoded.total(slope_N)
        end = stretch.at(1.0)
    return total, end
