"""Through whose updates did a behaviour come: the path integral of its gradient, by source.

Along segment k the weights go from w_k by the sum over sources s of D_k[s]. A behaviour's change is

    f(w_end) - f(w_start) = sum over k, s of  integral_0^1  grad f(w_k + t D_k) . D_k[s]  dt

so each source's share is its own integral: integrated gradients (1703.01365, eq. 1) along the way
that training took, with the direction split by source. It is complete up to quadrature error, which
is measured and driven down. It is an allocation, one of many that add up; not what would have been
without a source.

Shapes: N response tokens of the behaviours, B behaviours. All in nats.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from tasks.attribution.behaviour import Encoded
from tasks.attribution.course import Scorer, Stretch

ORDERS = (1, 2, 4, 8)
"""Gauss-Legendre points a segment, tried in turn until its parts add up."""


@dataclass(frozen=True)
class SegmentShare:
    """What one segment of training did to each token."""

    first_step: int
    last_step: int
    points: int
    """Quadrature points that it took."""
    by_part: Mapping[str, Tensor]
    """Part to its contribution to each token's log-probability [N]."""


@dataclass(frozen=True)
class Allocation:
    """A behaviour's course from the fork point to the student, split by source."""

    encoded: Encoded
    start_N: Tensor
    """Each token's log-probability at the fork point: what was there before any teacher."""
    end_N: Tensor
    """... and at the student."""
    segments: tuple[SegmentShare, ...]

    @property
    def parts(self) -> list[str]:
        """Sources, decay and rounding."""
        return list(self.segments[0].by_part)

    def tokens(self, part: str) -> Tensor:
        """Return a part's contribution to each token [N], over all of training."""
        return torch.stack([segment.by_part[part] for segment in self.segments]).sum(0)

    def behaviours(self, part: str) -> Tensor:
        """Return a part's contribution to each behaviour [B], over all of training."""
        return self.encoded.total(self.tokens(part))

    @property
    def residual(self) -> Tensor:
        """What the parts leave unexplained of each behaviour [B], over the sum of their sizes."""
        change_B = self.encoded.total(self.end_N - self.start_N)
        by_part = torch.stack([self.behaviours(part) for part in self.parts])
        return (change_B - by_part.sum(0)).abs() / by_part.abs().sum(0).clamp(min=1e-12)


def allocate(
    scorer: Scorer, encoded: Encoded, course: Iterable[Stretch], tolerance: float = 0.003
) -> Allocation:
    """Split what training did to each behaviour by source.

    Args:
        scorer: Of the batch that ``encoded`` holds.
        encoded: The behaviours.
        course: The run, segment by segment.
        tolerance: Of a segment's residual, relative to the sum of its parts' sizes; where the
            last order does not reach it either, the residual says so.
    """
    segments = []
    start_N = before_N = None
    for stretch in course:
        if before_N is None:
            start_N = before_N = scorer.log_probs(stretch.start)
        after_N = scorer.log_probs(stretch.at(1.0))
        segments.append(_integrate(scorer, encoded, stretch, after_N - before_N, tolerance))
        before_N = after_N
    if start_N is None or before_N is None:
        raise ValueError(
            "the ledger holds no displacements, so there is nothing to integrate along: trace the "
            "behaviour by replay"
        )
    return Allocation(encoded, start_N, before_N, tuple(segments))


def _integrate(
    scorer: Scorer, encoded: Encoded, stretch: Stretch, change_N: Tensor, tolerance: float
) -> SegmentShare:
    """Integrate one segment with as many points as its parts need to add up."""
    change_B = encoded.total(change_N)
    for order in ORDERS:
        by_part = _quadrature(scorer, stretch, order)
        parts_PB = torch.stack([encoded.total(values_N) for values_N in by_part.values()])
        missing_B = (change_B - parts_PB.sum(0)).abs()
        if bool((missing_B <= tolerance * parts_PB.abs().sum(0) + 1e-6).all()):
            break
    segment = stretch.segment
    return SegmentShare(segment.first_step, segment.last_step, order, by_part)


def _quadrature(scorer: Scorer, stretch: Stretch, order: int) -> dict[str, Tensor]:
    nodes, weights = numpy.polynomial.legendre.leggauss(order)
    total: dict[str, Tensor] = {}
    for node, weight in zip(nodes, weights, strict=True):
        here = stretch.at((float(node) + 1) / 2)
        for part, direction in stretch.parts.items():
            term_N = float(weight) / 2 * scorer.derivative(here, direction)
            total[part] = total[part] + term_N if part in total else term_N
    return total
