"""The exponential moving average of a policy's weights, which is saved in their place.

InstructGPT (2203.02155) C.4 averages with a decay of 0.992.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tasks.model.shards import collected, local, part_like
from tasks.onpolicy.learner import Learner
from tasks.platform.ranks import rank

_STATE = "average.safetensors"


class WeightAverage:
    """The average of a learner's weights over the steps so far; a part of a training state."""

    def __init__(self, learner: Learner, decay: float) -> None:
        """Begin with the weights that the learner has now, sharded as they are."""
        self._masters, self._decay = learner.optimizer.masters(), decay
        self._average = {name: local(w).clone() for name, w in self._masters.items()}

    @torch.no_grad()
    def add(self) -> None:
        """Move the average towards the present weights."""
        for name, master in self._masters.items():
            self._average[name].lerp_(local(master), 1 - self._decay)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the learner's weights be the average inside, so that it is what is saved."""
        own = {name: local(master).clone() for name, master in self._masters.items()}
        self._set(self._average)
        try:
            yield
        finally:
            self._set(own)

    def save(self, folder: Path) -> None:
        """Write the average, whole. Collective."""
        with self.held():  # what is collected may be the weights themselves, not copies
            state = collected(self._masters)
            if rank() == 0:
                save_file(state, folder / _STATE)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote."""
        for name, value in load_file(folder / _STATE).items():
            self._average[name].copy_(part_like(value, self._masters[name]))

    @torch.no_grad()
    def _set(self, weights: dict[str, Tensor]) -> None:
        for name, master in self._masters.items():
            local(master).copy_(weights[name])
