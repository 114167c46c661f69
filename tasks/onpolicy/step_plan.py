"""The step plan: rollouts become microbatches, and a microbatch never mixes teachers.

With one teacher per microbatch, the ledger can split a gradient by source without extra passes, one
teacher's head is resident at a time, and all ranks use the same teacher.

Shapes: B sequences, S padded tokens, N response tokens of the microbatch.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice

import torch
from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.model.log_probs import TokenBatch, pad_right, sent
from tasks.onpolicy.cuts import cut, fill
from tasks.onpolicy.settings import Normalization
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


def split_for_updates(
    scored: Sequence[ScoredRollout], num_updates: int, step: int, epoch: int = 0
) -> list[list[ScoredRollout]]:
    """Deal a step's rollouts to its inner updates, evenly per teacher, in a seeded order.

    A step without teachers may have dropped rollouts; with fewer than updates it has fewer updates.

    Raises:
        ValueError: if a teacher has fewer rollouts than there are updates, so that an update would
            lack it.
    """
    without_teacher = sum(not item.teacher for item in scored)
    if without_teacher:
        num_updates = min(num_updates, without_teacher)
    if num_updates == 1:
        return [list(scored)]
    dealt: list[list[ScoredRollout]] = [[] for _ in range(num_updates)]
    by_teacher: dict[str, list[ScoredRollout]] = defaultdict(list)
    for item in scored:
        by_teacher[item.teacher].append(item)
    for teacher, items in sorted(by_teacher.items()):
        if len(items) < num_updates:
            raise RefusedError(
                "too-few-rollouts",
                f"teacher {teacher!r} scores {len(items)} rollouts in step {step}, fewer than the "
                f"{num_updates} inner updates: give its domain more prompts, or lower "
                "inner_updates",
            )
        seed = f"{step} {teacher}" if epoch == 0 else f"{step} {teacher} {epoch}"
        random.Random(seed).shuffle(items)
        for place, item in enumerate(items):
            dealt[place % num_updates].append(item)
    return dealt


def plan_step(
    scored: Sequence[ScoredRollout],
    normalization: Normalization,
    max_tokens: int,
    pad_id: int,
    num_ranks: int = 1,
    update_index: int = 0,
) -> list[Microbatch]:
    """Sort an update's rollouts by teacher and length, and cut them into microbatches.

    ``max_tokens`` bounds the padded size of a microbatch; a single longer rollout gets its own.
    Each teacher's number of microbatches is a multiple of ``num_ranks``, if it has enough rollouts.

    Raises:
        ValueError: if no rollout has a response token to learn from.
    """
    if not any(item.rollout.num_response_tokens for item in scored):
        raise RefusedError(
            "no-response-token",
            "no response token is left to learn from: every rollout is empty or masked; check the "
            "prompts and max_new_tokens",
        )
    by_teacher: dict[str, list[tuple[ScoredRollout, float]]] = defaultdict(list)
    for item, weight in zip(scored, _token_weights(scored, normalization), strict=True):
        if not item.masked:
            by_teacher[item.teacher].append((item, weight))
    if not by_teacher:
        raise RefusedError(
            "all-masked", "every teacher is masked, so nothing is left to learn from: unmask one"
        )
    lists = [
        sorted(items, key=lambda weighted: weighted[0].length)
        for _, items in sorted(by_teacher.items())
    ]
    lengths = [[item.length for item, _ in items] for items in lists]
    plan = []
    for items, rows, sizes in zip(lists, lengths, cut(lengths, max_tokens), strict=True):
        remaining = iter(items)
        for size in fill(rows, sizes, num_ranks):
            plan.append(_microbatch(list(islice(remaining, size)), pad_id, update_index))
    return plan


def token_scales(parts: Sequence[Sequence[ScoredRollout]]) -> list[dict[str, float]]:
    """Return by term how many tokens each update has, relative to their mean over the updates.

    Weights of an update that are multiplied by it weigh each token of a step alike.
    """
    counts = []
    for part in parts:
        tokens: dict[str, int] = defaultdict(int)
        for item in part:
            tokens[item.term] += item.rollout.num_response_tokens
        counts.append(tokens)
    totals = {term: sum(tokens[term] for tokens in counts) for tokens in counts for term in tokens}
    return [
        {term: count * len(parts) / totals[term] for term, count in tokens.items() if totals[term]}
        for tokens in counts
    ]


def padding(plan: Iterable[Microbatch]) -> float:
    """Return the share of padding in all tokens of some microbatches."""
    padded = tokens = 0
    for microbatch in plan:
        padded += microbatch.tokens.ids_BS.numel()
        tokens += sum(len(item.rollout.ids) for item in microbatch.items)
    return 1 - tokens / padded


def _token_weights(scored: Sequence[ScoredRollout], normalization: Normalization) -> list[float]:
    """Return the weight of every token of each rollout; over a term's tokens they sum to 1."""
    relative = []
    parts: dict[str, list[float]] = defaultdict(list)
    for item in scored:
        length = item.rollout.num_response_tokens
        part = item.share * item.weight
        if normalization is Normalization.SEQUENCE_MEAN:
            part = part / length if length else 0.0
        relative.append(part)
        parts[item.term].append(part * length)
    totals = {term: sum(of_term) for term, of_term in parts.items()}
    return [
        part / totals[item.term] if part else 0.0
        for part, item in zip(relative, scored, strict=True)
    ]


def _microbatch(
    group: Sequence[tuple[ScoredRollout, float]], pad_id: int, update_index: int
) -> Microbatch:
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
        update_index=update_index,
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


def deal(plan: Sequence[Microbatch], rank: int, num_ranks: int) -> list[Microbatch | None]:
    """Return a rank's microbatches of an update, teacher by teacher.

    None is a pass in which other ranks have a microbatch of the teacher and this rank has none
    left. It joins with ``idle_tokens`` and without a loss, because every pass over a sharded model
    needs all ranks. A plan's weights are those of the whole update, so gradients are summed over
    ranks.
    """
    dealt: list[Microbatch | None] = []
    for _, group in groupby(plan, key=lambda microbatch: microbatch.teacher):
        microbatches = list(group)
        for first in range(0, len(microbatches), num_ranks):
            turn = microbatches[first : first + num_ranks]
            dealt.append(turn[rank] if rank < len(turn) else None)
    return dealt


def idle_tokens(pad_id: int) -> TokenBatch:
    """Return the smallest batch that a model can run on."""
    zero_1, one_1 = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.long)
    return TokenBatch(torch.full((1, 2), pad_id, dtype=torch.long), zero_1, one_1)
