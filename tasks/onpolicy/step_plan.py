"""The step plan: rollouts become microbatches, and a microbatch never mixes teachers.

With one teacher per microbatch, the ledger can split a gradient by source without extra passes, one
teacher's head is resident at a time, and all ranks use the same teacher.

Shapes: B sequences, S padded tokens, N response tokens of the microbatch.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.model.log_probs import TokenBatch, pad_right
from tasks.onpolicy.settings import Normalization
from tasks.rollout.collect import Rollout

MOST_PADDING = 0.1
"""Maximum share of padding in a step's tokens."""


def cut(lengths: Sequence[Sequence[int]], max_tokens: int) -> list[list[int]]:
    """Return the number of rows of each microbatch, for each of several sorted lists of lengths.

    A microbatch holds at most ``max_tokens`` with its padding, or a single row. A pass has a price
    in tokens: a whole microbatch, which gives the fewest passes, or the highest price at which the
    padding of all lists together is at most ``MOST_PADDING``. At price 0 nothing is padded.
    """
    tokens = sum(map(sum, lengths))

    def cut_at(price: int) -> list[list[int]]:
        return [_cheapest(np.asarray(rows), max_tokens, price) for rows in lengths]

    def is_little(cuts: list[list[int]]) -> bool:
        padded = sum(padded_tokens(rows, sizes) for rows, sizes in zip(lengths, cuts, strict=True))
        return padded - tokens <= MOST_PADDING * padded

    cuts = cut_at(max_tokens)
    if is_little(cuts):
        return cuts
    low, high, cuts = 0, max_tokens, cut_at(0)
    while high - low > 1 + low // 8:
        middle = (low + high) // 2
        tried = cut_at(middle)
        low, high, cuts = (middle, high, tried) if is_little(tried) else (low, middle, cuts)
    return cuts


def padded_tokens(lengths: Sequence[int], sizes: Sequence[int]) -> int:
    """Return the padded size of sorted rows that are cut into microbatches of ``sizes``."""
    ends = accumulate(sizes)
    return sum(size * lengths[end - 1] for size, end in zip(sizes, ends, strict=True))


def fill(lengths: Sequence[int], sizes: Sequence[int], multiple: int) -> list[int]:
    """Halve the largest microbatches until their number is a multiple of the number of ranks.

    Halving never adds padding, and a rank without a microbatch would wait for the others.
    """
    sizes = list(sizes)
    while len(sizes) % multiple:
        ends = list(accumulate(sizes))
        halves = [place for place, size in enumerate(sizes) if size > 1]
        if not halves:
            break
        largest = max(halves, key=lambda place: sizes[place] * lengths[ends[place] - 1])
        half = sizes[largest] // 2
        sizes[largest : largest + 1] = [half, sizes[largest] - half]
    return sizes


def _cheapest(lengths: npt.NDArray[np.int64], max_tokens: int, price: int) -> list[int]:
    """Return the cut with the fewest padded tokens plus ``price`` per microbatch."""
    count = len(lengths)
    cost = np.zeros(count + 1, dtype=np.int64)
    first = np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):
        width = int(lengths[end - 1])
        begin = max(0, end - max(1, max_tokens // width))
        sizes = np.arange(end - begin, 0, -1)
        totals = cost[begin:end] + sizes * width
        best = int(totals.argmin())
        cost[end], first[end] = totals[best] + price, begin + best
    sizes_backwards, end = [], count
    while end:
        sizes_backwards.append(end - int(first[end]))
        end = int(first[end])
    return sizes_backwards[::-1]


@dataclass(frozen=True)
class ScoredRollout:
    """A rollout with its teacher and weights.

    A rollout that several teachers score occurs once per teacher, with that teacher's share.
    """

    rollout: Rollout
    teacher: str = ""
    """The teacher that scores it; empty without one."""
    outcome_advantage: float = 0.0
    """Advantage from the grade, the same for every token of the rollout."""
    share: float = 1.0
    """This teacher's share of the rollout; the shares of a rollout sum to 1."""
    weight: float = 1.0
    """Weight from the balance of teachers; only ratios matter."""
    masked: bool = False
    """Whether it is counted in every denominator but left out of the loss."""


@dataclass(frozen=True)
class Microbatch:
    """Sequences of one teacher, ready for forward and backward."""

    teacher: str
    items: tuple[ScoredRollout, ...]
    """The rollout of each row."""
    tokens: TokenBatch
    sampler_log_probs_N: Tensor
    outcome_advantages_N: Tensor
    weights_N: Tensor
    """Each token's share of the update's loss; over all microbatches they sum to 1."""
    update_index: int = 0
    """Index of the inner update that it belongs to. From 1 on, the policy has changed since it
    sampled."""

    def to(self, device: torch.device) -> "Microbatch":
        """Return the same microbatch on a device."""
        return replace(
            self,
            tokens=self.tokens.to(device),
            sampler_log_probs_N=self.sampler_log_probs_N.to(device),
            outcome_advantages_N=self.outcome_advantages_N.to(device),
            weights_N=self.weights_N.to(device),
        )


def split_for_updates(
    scored: Sequence[ScoredRollout], num_updates: int, step: int
) -> list[list[ScoredRollout]]:
    """Deal a step's rollouts to its inner updates, evenly per teacher, in a seeded order.

    Raises:
        ValueError: if a teacher has fewer rollouts than there are updates, so that an update would
            lack it.
    """
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
        random.Random(f"{step} {teacher}").shuffle(items)
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
        sorted(items, key=lambda weighted: len(weighted[0].rollout.ids))
        for _, items in sorted(by_teacher.items())
    ]
    lengths = [[len(item.rollout.ids) for item, _ in items] for items in lists]
    plan = []
    for items, rows, sizes in zip(lists, lengths, cut(lengths, max_tokens), strict=True):
        remaining = iter(items)
        for size in fill(rows, sizes, num_ranks):
            plan.append(_microbatch(list(islice(remaining, size)), pad_id, update_index))
    return plan


def padding(plan: Iterable[Microbatch]) -> float:
    """Return the share of padding in all tokens of some microbatches."""
    padded = tokens = 0
    for microbatch in plan:
        padded += microbatch.tokens.ids_BS.numel()
        tokens += sum(len(item.rollout.ids) for item in microbatch.items)
    return 1 - tokens / padded


def _token_weights(scored: Sequence[ScoredRollout], normalization: Normalization) -> list[float]:
    """Return the weight of every token of each rollout; over all tokens they sum to 1."""
    relative = []
    for item in scored:
        length = item.rollout.num_response_tokens
        part = item.share * item.weight
        if normalization is Normalization.SEQUENCE_MEAN:
            part = part / length if length else 0.0
        relative.append(part)
    total = sum(
        part * item.rollout.num_response_tokens for part, item in zip(relative, scored, strict=True)
    )
    return [part / total for part in relative]


def _microbatch(
    group: Sequence[tuple[ScoredRollout, float]], pad_id: int, update_index: int
) -> Microbatch:
    sampler, outcome, weights = [], [], []
    for item, weight in group:
        rollout, length = item.rollout, item.rollout.num_response_tokens
        flags = zip(rollout.is_response, rollout.sampler_log_probs, strict=True)
        sampler += [log_prob for written, log_prob in flags if written]
        outcome += [item.outcome_advantage] * length
        weights += [weight] * length
    return Microbatch(
        teacher=group[0][0].teacher,
        items=tuple(item for item, _ in group),
        tokens=pad_right(
            [item.rollout.ids for item, _ in group],
            [item.rollout.is_response for item, _ in group],
            pad_id,
        ),
        sampler_log_probs_N=torch.tensor(sampler),
        outcome_advantages_N=torch.tensor(outcome),
        weights_N=torch.tensor(weights),
        update_index=update_index,
    )


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
