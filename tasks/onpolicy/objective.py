"""The interface of an on-policy method: scoring of rollouts, and the loss of a token by source.

Shapes: C tokens of a chunk of a microbatch, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue
from torch import Tensor

from tasks.onpolicy.microbatch import Microbatch, ScoredRollout
from tasks.rollout.collect import Rollout


@dataclass(frozen=True)
class TokenLoss:
    """The loss of each response token [C] by source, with its measurements."""

    by_source: Mapping[str, Tensor]
    """Loss by source: a teacher's name, or the outcome reward. Their sum is the loss. Each source
    beyond the first costs one more backward pass."""
    report: Mapping[str, Tensor] = field(default_factory=dict)
    """Measurements by name, one number per token; the loop averages them per teacher."""
    advantages: Mapping[str, Tensor] = field(default_factory=dict)
    """Advantage of each sampled token [C] by source, without gradient, for the ledger. For a
    teacher it is log p_teacher - log p_student in nats, clipped if the loss clips it."""
    target_CV: Tensor | None = None
    """Target logits, by which the ledger measures the effect of an update."""


class ChunkLoss(Protocol):
    """The losses of a microbatch, chunk by chunk, so that [tokens, V] never exists in full."""

    def __call__(self, student_CV: Tensor, chunk: slice) -> TokenLoss:
        """Return the losses of the microbatch's tokens ``chunk`` from the student's logits."""


class UpdateLosses(Protocol):
    """The losses of a step's updates, for scored rollouts."""

    def begin_step(self, step: int, updates: Sequence[Sequence[Microbatch]]) -> None:
        """Prepare for all microbatches of a step before its first update."""

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Compute what a microbatch needs once, and return its losses."""

    def end_step(self, step: int) -> dict[str, float]:
        """Return the step's own metrics after its updates. Collective."""


class Objective(UpdateLosses, Protocol):
    """RLVR, MOPD, or their sum: the one part in which on-policy methods differ."""

    @property
    def sources(self) -> list[str]:
        """All sources that can ever change the weights."""

    def score(self, rollouts: Sequence[Rollout]) -> list[ScoredRollout]:
        """Attach teachers and outcome advantages to a step's rollouts."""

    def state(self) -> dict[str, JsonValue]:
        """Return the state beside the weights that later steps depend on, for resuming."""

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Restore a ``state``."""
