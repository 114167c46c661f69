"""RL with verifiable rewards by GRPO (DeepSeekMath, 2402.03300), on-policy, without a KL term.

Shapes: N response tokens, V vocabulary.
"""

from collections.abc import Sequence

from torch import Tensor

from tasks.model.log_probs import token_log_probs
from tasks.onpolicy.group_advantage import group_advantages
from tasks.onpolicy.microbatch import Microbatch, Scored
from tasks.onpolicy.objective import TokenLoss
from tasks.onpolicy.policy_gradient import importance, policy_gradient
from tasks.onpolicy.settings import ImportanceMask
from tasks.rollout.collect import Rollout


class GroupAdvantage:
    """The objective of RL with verifiable rewards."""

    def __init__(self, mask: ImportanceMask) -> None:
        """Drop tokens outside the importance window ``mask``."""
        self._mask = mask

    def score(self, rollouts: Sequence[Rollout]) -> list[Scored]:
        """Give each rollout its advantage within the rollouts of the same prompt."""
        return [
            Scored(rollout, outcome_advantage=advantage)
            for rollout, advantage in zip(rollouts, group_advantages(rollouts), strict=True)
        ]

    def loss(self, batch: Microbatch, student_NV: Tensor) -> TokenLoss:
        """Return the policy-gradient loss of each token."""
        student_N = token_log_probs(student_NV, batch.tokens.tokens_N)
        weight = importance(student_N, batch.sampler_log_probs_N, self._mask)
        loss_N = policy_gradient(student_N, batch.outcome_advantages_N, weight.ratio_N)
        return TokenLoss(loss_N, {"dropped": 1.0 - weight.kept_N.float()})
