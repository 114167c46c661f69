"""What a segment's manifest says of its parts, summed up parameter by parameter."""

import math
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor

from tasks.ledger.split_adamw import RESERVED


class SegmentSums:
    """Norms of a segment's parts, of the whole change, and of what storing it loses."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._squares: dict[str, float] = defaultdict(float)
        self._change = self._lost = 0.0
        self.farthest = 0.0
        """Largest displacement of a weight by a source."""

    def add(self, moved: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> None:
        """Add every part's displacement of one parameter, as it is and as it is stored."""
        for part, tensor in moved.items():
            self._squares[part] += square(tensor)
            if stored[part].dtype is not torch.float32:
                self._lost += square(tensor - stored[part].to(tensor.dtype))
            if part not in RESERVED and tensor.numel():
                self.farthest = max(self.farthest, float(tensor.abs().max()))
        self._change += square(torch.stack(list(moved.values())).sum(0))

    @property
    def norms(self) -> dict[str, float]:
        """Norm of each part's displacement."""
        return {part: math.sqrt(of_part) for part, of_part in self._squares.items()}

    @property
    def change(self) -> float:
        """Norm of the whole change."""
        return math.sqrt(self._change)

    @property
    def lost(self) -> float:
        """Norm over all parts of what storing them loses."""
        return math.sqrt(self._lost)


def square(tensor: Tensor) -> float:
    """Return the sum of a tensor's squares, in fp64."""
    return float(tensor.double().square().sum())
