"""The rounding that fp32 leaves in trained weights, predicted from the weights alone.

An update is added to a weight once, and the sum is rounded to a multiple of the weight's unit in
the last place (ulp). So an update loses at most half an ulp. Where an update is many ulps, its loss
is as good as random, ulp / sqrt(12) in root mean square. The losses of n updates are independent,
and add up to sqrt(n) times that. A weight that was to move by less loses at most its whole move.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_EXPONENT = 0x7F800000
_ULP_OF_POWER = 2.0**-23
MOST_OF_BOUND = 3.0
"""Maximum rounding of a run, by norm, as a multiple of what is predicted. Runs of the tests and of
a real model leave 0.7 to 1.3 of it; a foreign change adds to it."""


def ulp(weights: Tensor) -> Tensor:
    """Return the distance of neighboring fp32 numbers at each weight; 0 at 0."""
    bits = weights.float().contiguous().view(torch.int32) & _EXPONENT
    return bits.view(torch.float32) * _ULP_OF_POWER


def rest_of_change(start: Tensor, end: Tensor, moved: Iterable[Tensor]) -> Tensor:
    """Return what these displacements leave of a change of weights, in the weights' precision."""
    rest = end.double() - start.double()
    for tensor in moved:
        rest -= tensor.double()
    return rest.to(end.dtype)


@dataclass(frozen=True)
class WeightMoves:
    """One parameter in one segment: its weights at both ends, and its displacements by source."""

    start: Tensor
    end: Tensor
    sources: Sequence[Tensor]
    """Displacements by all sources."""
    decay: Tensor
    num_updates: int
    """Updates in this segment."""
    of_updates: int
    """Updates in all segments of the run."""

    @property
    def decays(self) -> bool:
        """Whether each update rounds a second time, for weight decay."""
        return bool(self.decay.any())


def expected_square(moves: WeightMoves) -> float:
    """Return the expected sum of squares of what the updates lost, over the parameter's weights.

    Decay takes the same few ulps from a weight at each update and loses the same each time, so its
    losses add up without the root, over all segments. A source's displacement is a growing sum of
    quotients: three roundings at its own size after the first update, and half as many for each
    later one.
    """
    count = moves.num_updates
    largest = torch.maximum(moves.start.abs(), moves.end.abs())
    unit = ulp(largest).double()
    lost = unit.square() * (count * (1 + moves.of_updates * moves.decays) / 12)
    meant = moves.decay.double()
    own = torch.zeros_like(meant)
    for tensor in moves.sources:
        meant += tensor.double()
        own += ulp(tensor).double().square_() * (1.5 * (count + 1) / 12)
    meant.square_()
    still = moves.end == moves.start  # each update was less than half an ulp: all of it is lost
    whole = torch.minimum(meant, (unit * (count / 2)).square_())
    lost = torch.where(still, whole, torch.minimum(lost, meant))
    return float((lost + own).sum())


def num_beyond(moves: WeightMoves, rounding: Tensor, farthest: float) -> int:
    """Return how many weights lost more than fp32 can lose.

    ``farthest`` is the largest displacement by any source. A weight may have been that much larger
    in between.
    """
    largest = torch.maximum(moves.start.abs(), moves.end.abs()) + farthest
    own = 2 * len(moves.sources) * float(ulp(torch.tensor(farthest)))
    # A whole ulp in place of its half: a weight may pass the next power of 2 on its way.
    most = moves.num_updates * ((1 + moves.decays) * ulp(largest) + own)
    return int((rounding.abs() > most).sum())
