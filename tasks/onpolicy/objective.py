"""What an on-policy method is: how it scores rollouts, and the loss of a token by source.

Shapes: C tokens of a chunk of a microbatch, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue
from torch import Tensor

from tasks.onpolicy.step_plan import Microbatch, ScoredRollout
from tasks.rollout.collect import Rollout


@dataclass(frozen=True)
class TokenLoss:
    """The loss of each response token [C], by source, and what is worth reporting of each."""

    by_source: Mapping[str, Tensor]
    """What each source asks for: a teacher by its name, the outcome reward. Their sum is the loss.
    Each source beyond the first costs one more backward pass."""
    report: Mapping[str, Tensor] = field(default_factory=dict)
    """Name to one number a token; the loop averages them per teacher."""
    advantages: Mapping[str, Tensor] = field(default_factory=dict)
    """By source, what it makes of each sampled token [C]: for a teacher log p_teacher - log
    p_student in nats, clipped where it is; kept by the ledger, so without gradient."""
    target_CV: Tensor | None = None
    """The logits that the teacher asks for, by which the ledger sees what an update achieved."""


class ChunkLoss(Protocol):
    """The losses of a microbatch, chunk by chunk, so that [tokens, V] never exists in full."""

    def __call__(self, student_CV: Tensor, chunk: slice) -> TokenLoss:
        """Return the losses of the microbatch's tokens ``chunk`` from the student's logits."""


class UpdateLosses(Protocol):
    """The losses of a step's updates, from rollouts that are scored already."""

    def begin_step(self, step: int, updates: Sequence[Sequence[Microbatch]]) -> None:
        """See all microbatches of a step before its first update: fetch, score ahead, cache."""

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Do what is done once for a microbatch, and return its losses."""

    def end_step(self, step: int) -> dict[str, float]:
        """Return the step's own metrics, once its updates are done. Collective."""


class Objective(UpdateLosses, Protocol):
    """RLVR, MOPD, or their sum: the one part in which on-policy methods differ."""

    @property
    def sources(self) -> list[str]:
        """Everything that may ever ask for a change of the weights."""

    def score(self, rollouts: Sequence[Rollout]) -> list[ScoredRollout]:
        """Attach teachers and outcome advantages to a step's rollouts."""

    def state(self) -> dict[str, JsonValue]:
        """Return what later steps depend on besides the weights, for a run that is resumed."""

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from a ``state``."""
