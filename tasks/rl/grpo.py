"""RL with verifiable rewards by GRPO (DeepSeekMath, 2402.03300), on-policy, without a KL term.

Shapes: C response tokens of a chunk, V vocabulary.
"""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue
from torch import Tensor

from tasks.model.log_probs import token_log_probs
from tasks.onpolicy.objective import ChunkLoss, TokenLoss
from tasks.onpolicy.policy_gradient import group_advantages, importance, policy_gradient
from tasks.onpolicy.settings import ImportanceMask
from tasks.onpolicy.step_plan import Microbatch, ScoredRollout
from tasks.rollout.collect import Rollout

OUTCOME = "outcome"


class GroupAdvantage:
    """The objective of RL with verifiable rewards."""

    def __init__(self, mask: ImportanceMask) -> None:
        """Drop tokens outside the importance window ``mask``."""
        self._mask = mask

    @property
    def sources(self) -> list[str]:
        """The outcome reward alone."""
        return [OUTCOME]

    def score(self, rollouts: Sequence[Rollout]) -> list[ScoredRollout]:
        """Give each rollout its advantage within the rollouts of the same prompt."""
        return [
            ScoredRollout(rollout, outcome_advantage=advantage)
            for rollout, advantage in zip(rollouts, group_advantages(rollouts), strict=True)
        ]

    def begin_step(self, step: int, updates: Sequence[Sequence[Microbatch]]) -> None:
        """Nothing is fetched ahead: the grades came with the rollouts."""

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Return the policy-gradient loss of the microbatch's tokens."""
        tokens_N = batch.tokens.tokens_N

        def losses(student_CV: Tensor, chunk: slice) -> TokenLoss:
            student_C = token_log_probs(student_CV, tokens_N[chunk])
            weight = importance(student_C, batch.sampler_log_probs_N[chunk], self._mask)
            advantage_C = batch.outcome_advantages_N[chunk]
            loss_C = policy_gradient(student_C, advantage_C, weight.ratio_N)
            return TokenLoss({OUTCOME: loss_C}, weight.report(), {OUTCOME: advantage_C})

        return losses

    def end_step(self, step: int) -> dict[str, float]:
        """Nothing is measured beside the losses."""
        return {}

    def state(self) -> dict[str, JsonValue]:
        """Nothing is kept from step to step."""
        return {}

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Nothing is kept from step to step."""
