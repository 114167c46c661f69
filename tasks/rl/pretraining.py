"""The log-likelihood of text or demonstrations beside the loss of RL: PPO-ptx (InstructGPT eq. 2).

Shapes: C response tokens of a chunk, V vocabulary.
"""

import random
from collections.abc import Iterable, Sequence

from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.log_probs import token_log_probs
from tasks.onpolicy.microbatch import Microbatch, ScoredRollout
from tasks.onpolicy.objective import ChunkLoss, TokenLoss
from tasks.rl.actor_critic import PretrainingSettings
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Demonstration, Grade, Prompt

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


def demonstration_rows(
    chat: ChatTokens, demonstrations: Sequence[Demonstration], limit: int | None
) -> list[Tokens]:
    """Return a row for each demonstration; the model's own turns are learned.

    Raises:
        RefusedError: ``row-too-long`` for more tokens than the ``limit`` of the model's positions.
    """
    rows = [
        chat.demonstration(
            [vars(message) for message in each.messages],
            [(turn.role, turn.content) for turn in each.turns],
            each.mode,
        )
        for each in demonstrations
    ]
    _refuse_long(max(len(row.ids) for row in rows), limit)
    return rows


def text_rows(
    chat: ChatTokens, texts: Iterable[str], width: int, limit: int | None
) -> list[Tokens]:
    """Return rows of ``width`` tokens from texts one after the other; the rest is left out.

    Raises:
        RefusedError: ``row-too-long``, or ``too-little-text`` for less than one row.
    """
    _refuse_long(width, limit)
    ids = [token for text in texts for token in (*chat.text(text), chat.pad_id)]
    rows = [ids[first : first + width] for first in range(0, len(ids) - width + 1, width)]
    if not rows:
        raise RefusedError(
            "too-little-text",
            f"the pretraining text has {len(ids)} tokens, fewer than a row of {width}: give more "
            "text, or lower pretraining.row_tokens",
        )
    return [Tokens(tuple(row), (False, *[True] * (width - 1))) for row in rows]


def _refuse_long(longest: int, limit: int | None) -> None:
    if limit is not None and longest > limit:
        raise RefusedError(
            "row-too-long",
            f"a pretraining row has {longest} tokens but the policy takes {limit}: leave out the "
            "longest demonstrations, or lower pretraining.row_tokens",
        )


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
