"""Splits the change of a behavior's log-probability by source: the path integral of its gradient.

In segment k the weights start at w_k and change by the sum over sources s of D_k[s]. A behavior
changes by

    f(w_end) - f(w_start) = sum over k, s of  integral_0^1  grad f(w_k + t D_k) . D_k[s]  dt

so each source's share is its own integral: integrated gradients (1703.01365, eq. 1) along the path
of training, with the direction split by source. It is complete up to quadrature error, which is
measured and reduced. It is an allocation, one of many that add up; it is not the result of training
without a source.

Shapes: N response tokens of the behaviors, M of some of them, B behaviors, P parts that moved.
All in nats.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from tasks.attribution.behavior import Behavior, Encoded, encode
from tasks.attribution.trajectory import Scorer, Stretch, Weights
from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.platform.progress import report

ORDERS = (1, 2, 4, 8, 16, 32)
"""Numbers of Gauss-Legendre points per segment, tried in turn until its parts add up."""


@dataclass(frozen=True)
class SegmentAllocation:
    """The effect of one segment of training on each token."""

    first_step: int
    last_step: int
    points: int
    """Quadrature points of the behavior that needed most."""
    by_part: Mapping[str, Tensor]
    """Each part's contribution to each token's log-probability [N]."""


@dataclass(frozen=True)
class Allocation:
    """A behavior's change from the fork point to the student, split by source."""

    encoded: Encoded
    start_N: Tensor
    """Each token's log-probability at the fork point, before any teacher."""
    end_N: Tensor
    """Each token's log-probability at the student."""
    segments: tuple[SegmentAllocation, ...]

    @property
    def parts(self) -> list[str]:
        """Sources, decay and rounding."""
        return list(self.segments[0].by_part)

    def tokens(self, part: str) -> Tensor:
        """Return a part's contribution to each token [N], over all of training."""
        return torch.stack([segment.by_part[part] for segment in self.segments]).sum(0)

    def behaviors(self, part: str) -> Tensor:
        """Return a part's contribution to each behavior [B], over all of training."""
        return self.encoded.total(self.tokens(part))

    @property
    def residual(self) -> Tensor:
        """Unexplained rest of each behavior [B], relative to the sum of the parts' sizes."""
        change_B = self.encoded.total(self.end_N - self.start_N)
        by_part = torch.stack([self.behaviors(part) for part in self.parts])
        return (change_B - by_part.sum(0)).abs() / by_part.abs().sum(0).clamp(min=1e-12)


def allocate(
    scorer: Scorer, encoded: Encoded, course: Iterable[Stretch], tolerance: float = 0.003
) -> Allocation:
    """Split the effect of training on each behavior by source.

    Args:
        scorer: Scores the batch that ``encoded`` holds.
        encoded: The behaviors.
        course: The run, segment by segment.
        tolerance: Allowed unexplained rest of a behavior in a segment, relative to the sum of its
            parts' sizes up to there. If the last order misses it too, the residual shows that.
    """
    segments = []
    start_N = before_N = None
    sizes_B = torch.zeros(len(encoded.behaviors))
    for stretch in course:
        if before_N is None:
            start_N = before_N = scorer.log_probs(stretch.start)
        after_N = scorer.log_probs(stretch.at(1.0))
        allowed = _Allowed(after_N - before_N, sizes_B, tolerance)
        share, sizes_B = _integrate(scorer, encoded, stretch, allowed)
        segments.append(share)
        before_N = after_N
        del stretch
    if start_N is None or before_N is None:
        raise RefusedError(
            "no-displacements",
            "the ledger holds no displacements to integrate along: replay it first (provost audit "
            "--replay)",
        )
    return Allocation(encoded, start_N, before_N, tuple(segments))


@dataclass(frozen=True)
class _Allowed:
    """The criterion for a segment's parts to add up well enough."""

    change_N: Tensor
    """Effect of the segment on each token."""
    sizes_B: Tensor
    """Sum of the parts' sizes in earlier segments."""
    tolerance: float

    def misses(self, encoded: Encoded, values_PN: Tensor) -> tuple[Tensor, Tensor]:
        """Return which behaviors [B] do not add up yet, and their parts' sizes up to here."""
        parts_PB = torch.stack([encoded.total(values_N) for values_N in values_PN])
        missing_B = (encoded.total(self.change_N) - parts_PB.sum(0)).abs()
        sizes_B = self.sizes_B + parts_PB.abs().sum(0)
        return missing_B > self.tolerance * sizes_B + 1e-6, sizes_B


def _integrate(
    scorer: Scorer, encoded: Encoded, stretch: Stretch, allowed: _Allowed
) -> tuple[SegmentAllocation, Tensor]:
    """Integrate one segment, each behavior with as many points as its parts need to add up."""
    moved = [part for part, norm in stretch.segment.norms.items() if norm > 0]
    values_PN = torch.zeros(len(moved), len(encoded.owners_N))
    open_B = torch.ones(len(encoded.behaviors), dtype=torch.bool)
    for order in ORDERS:
        part, places_M = encoded.only(open_B)
        values_PN[:, places_M] = _quadrature(scorer.on(part.tokens), stretch, moved, order)
        open_B, sizes_B = allowed.misses(encoded, values_PN)
        if not bool(open_B.any()):
            break
    segment, by_part = stretch.segment, dict(zip(moved, values_PN, strict=True))
    still_N = torch.zeros(len(encoded.owners_N))
    whole = {part: by_part.get(part, still_N) for part in segment.norms}
    return SegmentAllocation(segment.first_step, segment.last_step, order, whole), sizes_B


def _quadrature(scorer: Scorer, stretch: Stretch, moved: Sequence[str], order: int) -> Tensor:
    """Return each moved part's integral for each token [P, N]."""
    nodes, weights = numpy.polynomial.legendre.leggauss(order)
    directions = [stretch.parts[part] for part in moved]
    terms = [
        float(weight) / 2 * scorer.derivatives(stretch.at((float(node) + 1) / 2), directions)
        for node, weight in zip(nodes, weights, strict=True)
    ]
    return torch.stack(terms).sum(0)


BATCH = 64
"""Number of behaviors that are integrated together."""


@dataclass(frozen=True)
class Batch:
    """Some behaviors with their scorer."""

    encoded: Encoded
    scorer: Scorer


@dataclass(frozen=True)
class Split:
    """All behaviors, each split by source."""

    batches: tuple[Batch, ...]
    allocations: tuple[Allocation, ...]

    @property
    def behaviors(self) -> list[Behavior]:
        """All behaviors, in order."""
        return [item for batch in self.batches for item in batch.encoded.behaviors]

    @property
    def parts(self) -> list[str]:
        """Sources, decay and rounding."""
        return self.allocations[0].parts

    def table(self) -> Tensor:
        """Return each part's contribution to each behavior [P, B], in nats."""
        rows = [torch.stack([a.behaviors(part) for part in a.parts]) for a in self.allocations]
        return torch.cat(rows, dim=1)

    def begun(self) -> Tensor:
        """Return each behavior's log-probability [B] at the start of the round."""
        return torch.cat([a.encoded.total(a.start_N) for a in self.allocations])

    def ended(self) -> Tensor:
        """Return each behavior's log-probability [B] at the student."""
        return torch.cat([a.encoded.total(a.end_N) for a in self.allocations])

    def residuals(self) -> Tensor:
        """Return the unexplained rest of each behavior [B], relative to its parts."""
        return torch.cat([allocation.residual for allocation in self.allocations])

    def of_segment(self, place: int) -> Tensor:
        """Return each part's contribution to each behavior [P, B] in one segment."""
        return torch.cat(
            [
                torch.stack([a.encoded.total(a.segments[place].by_part[p]) for p in a.parts])
                for a in self.allocations
            ],
            dim=1,
        )

    def under(self, weights: Weights) -> Tensor:
        """Return each behavior's log-probability [B] under other weights of the run."""
        return torch.cat([b.encoded.total(b.scorer.log_probs(weights)) for b in self.batches])

    def under_model(self, whole: Weights) -> Tensor:
        """Return each behavior's log-probability [B] under all weights of another model."""
        return torch.cat([b.encoded.total(b.scorer.log_probs_of(whole)) for b in self.batches])


def split(
    behaviors: Sequence[Behavior], policy: Policy, course: Callable[[], Iterable[Stretch]]
) -> Split:
    """Split behaviors by source along a run; ``course`` walks it from the start at each call.

    Raises:
        ValueError: for a behavior that the student's tokenizer or context cannot hold.
    """
    chat = ChatTokens(policy.tokenizer)
    context = getattr(policy.model.config, "max_position_embeddings", None)
    starts = range(0, len(behaviors), BATCH)
    # All are encoded before the first is integrated: a bad one is refused at once.
    encoded = [encode(behaviors[at : at + BATCH], chat, context) for at in starts]
    batches = tuple(Batch(each, Scorer(policy.model, each.tokens)) for each in encoded)
    allocations = []
    for place, batch in enumerate(batches):
        report("audit", place, len(batches), message="integrate along training")
        allocations.append(allocate(batch.scorer, batch.encoded, course()))
    return Split(batches, tuple(allocations))


def spread(domains: Sequence[str], most: int) -> list[int]:
    """Return the places of that many behaviors, the first of each domain before any second."""
    seen: Counter[str] = Counter()
    turns = []
    for place, domain in enumerate(domains):
        turns.append((seen[domain], place))
        seen[domain] += 1
    return [place for _, place in sorted(turns)[:most]]
