"""The log-likelihood of demonstrations beside the policy's loss: PPO-ptx (InstructGPT eq. 2).

Shapes: C response tokens of a chunk, V vocabulary.
"""

import random
from collections.abc import Sequence

from torch import Tensor

from tasks.model.chat import Tokens
from tasks.model.log_probs import token_log_probs
from tasks.onpolicy.objective import ChunkLoss, TokenLoss
from tasks.onpolicy.step_plan import Microbatch, ScoredRollout
from tasks.rl.actor_critic import PretrainingSettings
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Grade, Prompt

PRETRAINING = "pretraining"
"""Name of the term and source of the loss."""


class PretrainingRows:
    """Draws rows by step, in a new order each epoch; nothing is kept between steps."""

    def __init__(self, rows: Sequence[Tokens], settings: PretrainingSettings, seed: int) -> None:
        """Take tokenized rows."""
        self._rows = [_as_rollout(row, place) for place, row in enumerate(rows)]
        self._settings, self._seed = settings, seed

    def rows(self, step: int) -> list[ScoredRollout]:
        """Return the rows of a step, counted from 1."""
        first = (step - 1) * self._settings.rows_per_step
        drawn = []
        for place in range(first, first + self._settings.rows_per_step):
            epoch, within = divmod(place, len(self._rows))
            order = list(range(len(self._rows)))
            random.Random(f"{self._seed} {PRETRAINING} {epoch}").shuffle(order)
            drawn.append(self._rows[order[within]])
        return [ScoredRollout(row, PRETRAINING, term=PRETRAINING) for row in drawn]


def pretraining_loss(batch: Microbatch, coefficient: float) -> ChunkLoss:
    """Return the negative log-likelihood of a microbatch of rows, times the coefficient."""

    def losses(student_CV: Tensor, chunk: slice) -> TokenLoss:
        student_C = token_log_probs(student_CV, batch.tokens.tokens_N[chunk])
        return TokenLoss({PRETRAINING: -coefficient * student_C})

    return losses


def _as_rollout(row: Tokens, place: int) -> Rollout:
    return Rollout(
        domain=PRETRAINING,
        prompt=Prompt(str(place), ()),
        turns=(),
        grade=Grade(0.0),
        ids=row.ids,
        is_response=row.is_response,
        sampler_log_probs=(0.0,) * len(row.ids),
        truncated=False,
    )
