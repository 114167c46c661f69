"""What an on-policy method is: how it scores rollouts, and the loss of a token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from tasks.onpolicy.microbatch import Microbatch, Scored
from tasks.rollout.collect import Rollout


@dataclass(frozen=True)
class TokenLoss:
    """The loss of each response token [N], and what is worth reporting of each."""

    loss_N: Tensor
    report_N: Mapping[str, Tensor] = field(default_factory=dict)
    """Name to one number a token; the loop averages them per teacher."""


class Objective(Protocol):
    """RLVR, MOPD, or their sum: the one part in which on-policy methods differ."""

    def score(self, rollouts: Sequence[Rollout]) -> list[Scored]:
        """Attach teachers and outcome advantages to a step's rollouts."""

    def loss(self, batch: Microbatch, student_NV: Tensor) -> TokenLoss:
        """Return each token's loss from the student's logits [N, V]."""
