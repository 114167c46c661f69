"""The interface of a sampling engine: contexts and noise in, model turns out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class ModelTurn:
    """What the policy wrote: ids with the end token, and their log-probabilities in nats."""

    ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    ended: bool
    """Whether the turn ended by itself, and not at ``max_new_tokens``."""


class Sampler(Protocol):
    """Writes the next model turn for each context."""

    def sample(
        self,
        contexts: Sequence[Sequence[int]],
        noise: Tensor,
        pixels: Sequence[Tensor | None] = (),
    ) -> list[ModelTurn]:
        """Return a turn for each context.

        Args:
            contexts: Ids of each.
            noise: Uniform in [0, 1), [contexts, tokens].
            pixels: Pixels of each context's images; () if none has any.
        """
