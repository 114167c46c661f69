"""A microbatch: scored rollouts of one teacher as tensors, ready for forward and backward.

Shapes: B sequences, S padded tokens, N response tokens of the microbatch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tasks.model.log_probs import TokenBatch, pad_right, sent
from tasks.rollout.batch import rollout_batch
from tasks.rollout.collect import Rollout

ADVANTAGE = "advantage"
"""Name of the numbers of a rollout that are an advantage of each token."""


@dataclass(frozen=True)
class ScoredRollout:
    """A rollout with its teacher and weights.

    A rollout that several teachers score occurs once per teacher, with that teacher's share.
    """

    rollout: Rollout
    teacher: str = ""
    """The teacher that scores it; empty without one."""
    outcome_advantage: float = 0.0
    """Advantage from the grade, for every token of a rollout without an ``ADVANTAGE`` of each."""
    share: float = 1.0
    """This teacher's share of the rollout; the shares of a rollout sum to 1."""
    weight: float = 1.0
    """Weight from the balance of teachers; only ratios matter."""
    masked: bool = False
    """Whether it is counted in every denominator but left out of the loss."""
    term: str = ""
    """Term of the loss that it belongs to; the weights of each term's tokens sum to 1. Only the
    rollouts of the term "" are sampled from the policy."""
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict, compare=False)
    """Numbers of each response token by name, such as a reference's log-probabilities."""
    teacher_prompt: tuple[int, ...] = ()
    """Prompt that the teacher reads in the place of the student's; () for the student's own."""

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The tokens before the first that the policy generated."""
        ids, sampled = self.rollout.ids, self.rollout.is_response
        return ids[: sampled.index(True)] if any(sampled) else ids

    @property
    def teacher_row(self) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """The ids that the teacher reads, and which of them the policy generated."""
        if not self.teacher_prompt:
            return self.rollout.ids, self.rollout.is_response
        return self.rollout.behind(self.teacher_prompt)

    @property
    def length(self) -> int:
        """Number of tokens of the longer row: the student's, or its teacher's."""
        return max(len(self.rollout.ids), len(self.teacher_row[0]))


@dataclass(frozen=True)
class Microbatch:
    """Sequences of one teacher, ready for forward and backward."""

    teacher: str
    items: tuple[ScoredRollout, ...]
    """The rollout of each row."""
    tokens: TokenBatch
    teacher_tokens: TokenBatch
    """The same rows as the teacher reads them: the chosen tokens are the same, in their order."""
    sampler_log_probs_N: Tensor
    outcome_advantages_N: Tensor
    weights_N: Tensor
    """Each token's share of the update's loss; over all microbatches of a term they sum to 1."""
    update_index: int = 0
    """Index of the inner update that it belongs to. From 1 on, the policy has changed since it
    sampled."""
    numbers_N: Mapping[str, Tensor] = field(default_factory=dict)
    """The numbers that every rollout of it has, of each token."""
    staleness_N: Tensor | None = None
    """Number of updates since each token was sampled, in host memory; None where all are 0."""
    student_log_probs: Callable[[], Tensor] | None = None
    """Returns the policy's log-probabilities [N] before the update, at one more pass of its head,
    for a method that judges whole rollouts. The learner sets it."""

    @property
    def term(self) -> str:
        """The term of the loss that it belongs to."""
        return self.items[0].term

    def to(self, device: torch.device) -> "Microbatch":
        """Return the same microbatch on a device."""
        tokens, apart = self.tokens.to(device), self.teacher_tokens is not self.tokens
        return replace(
            self,
            tokens=tokens,
            teacher_tokens=self.teacher_tokens.to(device) if apart else tokens,
            sampler_log_probs_N=sent(self.sampler_log_probs_N, device),
            outcome_advantages_N=sent(self.outcome_advantages_N, device),
            weights_N=sent(self.weights_N, device),
            numbers_N={name: sent(numbers, device) for name, numbers in self.numbers_N.items()},
        )


Weighted = tuple[ScoredRollout, float]
"""A rollout with the weight of each of its tokens."""


def microbatch_of(group: Sequence[Weighted], pad_id: int) -> Microbatch:
    """Return weighted rollouts of one teacher as a microbatch."""
    sampler: list[float] = []
    outcome: list[float] = []
    weights: list[float] = []
    staleness: list[int] = []
    for item, weight in group:
        rollout, length = item.rollout, item.rollout.num_response_tokens
        flags = zip(rollout.is_response, rollout.sampler_log_probs, strict=True)
        sampler += [log_prob for written, log_prob in flags if written]
        outcome += item.numbers.get(ADVANTAGE, [item.outcome_advantage] * length)
        weights += [weight] * length
        staleness += [rollout.staleness] * length
    names = sorted(set.intersection(*(set(item.numbers) for item, _ in group)))
    tokens, teacher_tokens = rows_of([item for item, _ in group], pad_id)
    return Microbatch(
        teacher=group[0][0].teacher,
        items=tuple(item for item, _ in group),
        tokens=tokens,
        teacher_tokens=teacher_tokens,
        sampler_log_probs_N=torch.tensor(sampler),
        outcome_advantages_N=torch.tensor(outcome),
        weights_N=torch.tensor(weights),
        numbers_N={
            name: torch.tensor([number for item, _ in group for number in item.numbers[name]])
            for name in names
        },
        staleness_N=torch.tensor(staleness) if any(staleness) else None,
    )


def rows_of(items: Sequence[ScoredRollout], pad_id: int) -> tuple[TokenBatch, TokenBatch]:
    """Return rollouts as rows, and as the teacher reads them; the same object if that is alike."""
    own = [item.rollout for item in items]
    tokens = rollout_batch(own, pad_id)
    if not any(item.teacher_prompt for item in items):
        return tokens, tokens
    rows = [item.teacher_row for item in items]
    return tokens, pad_right([ids for ids, _ in rows], [chosen for _, chosen in rows], pad_id)


def idle_tokens(pad_id: int) -> TokenBatch:
    """Return the smallest batch that a model can run on."""
    zero_1, one_1 = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.long)
    return TokenBatch(torch.full((1, 2), pad_id, dtype=torch.long), zero_1, one_1)
