"""What an objective of RL is given: an advantage, rewards, and models beside the policy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from transformers import PreTrainedModel

from tasks.model.log_probs import TokenBatch
from tasks.onpolicy.microbatch import ScoredRollout
from tasks.rl.kl import FrozenPolicy
from tasks.rl.source import Rewarded
from tasks.rl.token_numbers import Numbers
from tasks.rollout.collect import Rollout


class Advantage(Protocol):
    """Where a token's advantage comes from."""

    def score(
        self, rollouts: Sequence[Rollout], rewards: Sequence[float], penalties: Sequence[Numbers]
    ) -> list[ScoredRollout]:
        """Give each rollout an advantage, from its reward and the penalties of its tokens."""

    def end_step(self, step: int) -> dict[str, float]:
        """Learn from the step's rollouts, and return metrics. Collective."""


def by_grade(rollout: Rollout) -> Rewarded:
    """Take the environment's grade as the reward."""
    return Rewarded(rollout.grade.score)


@dataclass(frozen=True)
class PolicyTools:
    """What an objective needs beside its settings; most variants need little of it."""

    advantage: Advantage
    pad_id: int = 0
    judge: Callable[[Rollout], Rewarded] = by_grade
    """The reward of a sampled rollout, and whether it is left out."""
    beside: Callable[[], list[ScoredRollout]] = list
    """Rows beside the rollouts of the last step, in terms of their own."""
    activity: Callable[[], Mapping[str, float]] = dict
    """How strongly each part of the reward acted in the last step."""
    policy: PreTrainedModel | None = None
    """The policy itself, as it is now."""
    log_probs: Callable[[TokenBatch], Tensor] | None = None
    """Log-probabilities [N] of the policy as it is now."""
    reference: FrozenPolicy | None = None
    hints: Callable[[Sequence[Rollout]], list[dict[str, Numbers]]] | None = None
    """Numbers of the turns that see a hint. Collective."""
