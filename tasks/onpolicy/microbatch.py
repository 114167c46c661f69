"""The step plan: rollouts become microbatches, and a microbatch never mixes teachers.

One teacher a microbatch is what lets the ledger split a gradient by source without extra passes,
keeps one teacher's head resident at a time, and keeps all ranks on the same teacher.

Shapes: B sequences, S padded tokens, N response tokens of the microbatch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tasks.model.log_probs import TokenBatch, pad_right
from tasks.onpolicy.settings import Normalisation
from tasks.rollout.collect import Rollout


@dataclass(frozen=True)
class Scored:
    """A rollout with what the objective needs to know of it beyond its tokens."""

    rollout: Rollout
    teacher: str = ""
    """The teacher that scores it; empty where none does."""
    outcome_advantage: float = 0.0
    """From the grade, the same for every token of the rollout."""


@dataclass(frozen=True)
class Microbatch:
    """Sequences of one teacher, ready for forward and backward."""

    teacher: str
    tokens: TokenBatch
    sampler_log_probs_N: Tensor
    outcome_advantages_N: Tensor
    weights_N: Tensor
    """Each token's share of the step's loss; over all microbatches of a step they sum to 1."""

    def to(self, device: torch.device) -> "Microbatch":
        """Return the same microbatch on a device."""
        tokens = TokenBatch(
            self.tokens.ids_BS.to(device),
            self.tokens.attention_BS.to(device),
            self.tokens.rows_N.to(device),
            self.tokens.columns_N.to(device),
        )
        return replace(
            self,
            tokens=tokens,
            sampler_log_probs_N=self.sampler_log_probs_N.to(device),
            outcome_advantages_N=self.outcome_advantages_N.to(device),
            weights_N=self.weights_N.to(device),
        )


def plan_step(
    scored: Sequence[Scored], normalisation: Normalisation, max_tokens: int, pad_id: int
) -> list[Microbatch]:
    """Sort rollouts by teacher and length, and cut them into microbatches.

    ``max_tokens`` bounds the padded size of a microbatch; a single longer rollout gets its own.

    Raises:
        ValueError: if no rollout has a response token, so that there is nothing to learn from.
    """
    total_tokens = sum(item.rollout.num_response_tokens for item in scored)
    if total_tokens == 0:
        raise ValueError(
            "no response token is left to learn from: every rollout is empty or masked; look at "
            "the prompts and at max_new_tokens"
        )
    num_answered = sum(item.rollout.num_response_tokens > 0 for item in scored)
    ordered = sorted(scored, key=lambda item: (item.teacher, len(item.rollout.ids)))
    return [
        _microbatch(group, normalisation, num_answered, total_tokens, pad_id)
        for group in _groups(ordered, max_tokens)
    ]


def _groups(ordered: Iterable[Scored], max_tokens: int) -> Iterable[list[Scored]]:
    group: list[Scored] = []
    for item in ordered:
        # Sorted by length, so the newcomer sets the padded width.
        padded = len(item.rollout.ids) * (len(group) + 1)
        if group and (group[0].teacher != item.teacher or padded > max_tokens):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _microbatch(
    group: Sequence[Scored],
    normalisation: Normalisation,
    num_rollouts: int,
    total_tokens: int,
    pad_id: int,
) -> Microbatch:
    sampler, outcome, weights = [], [], []
    for item in group:
        rollout, length = item.rollout, item.rollout.num_response_tokens
        weight = (
            1.0 / (num_rollouts * length)
            if normalisation is Normalisation.SEQUENCE_MEAN and length
            else 1.0 / total_tokens
        )
        flags = zip(rollout.is_response, rollout.sampler_log_probs, strict=True)
        sampler += [log_prob for written, log_prob in flags if written]
        outcome += [item.outcome_advantage] * length
        weights += [weight] * length
    return Microbatch(
        teacher=group[0].teacher,
        tokens=pad_right(
            [item.rollout.ids for item in group],
            [item.rollout.is_response for item in group],
            pad_id,
        ),
        sampler_log_probs_N=torch.tensor(sampler),
        outcome_advantages_N=torch.tensor(outcome),
        weights_N=torch.tensor(weights),
    )
