"""Sums over a step's chunks that stay on the device until the step ends.

Reading a number of a tensor makes the host wait for an accelerator. A step reads each sum once.
"""

import torch
from torch import Tensor


class DeviceSums:
    """Sums of scalars by name, in fp64 on the device of what is added."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    @torch.no_grad()
    def add(self, name: str, scalar: Tensor | float, count: int = 1) -> None:
        """Add a scalar, which stands for ``count`` items, to a sum without reading it."""
        value = torch.as_tensor(scalar).double()
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + count

    def totals(self) -> dict[str, float]:
        """Return each sum."""
        return {name: float(total) for name, total in self._sums.items()}

    def counts(self) -> dict[str, float]:
        """Return how many items each sum has."""
        return {name: float(count) for name, count in self._counts.items()}

    def clear(self) -> None:
        """Forget all sums."""
        self._sums, self._counts = {}, {}
