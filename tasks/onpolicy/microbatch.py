"""The step plan: rollouts become microbatches, and a microbatch never mixes teachers.

One teacher a microbatch is what lets the ledger split a gradient by source without extra passes,
keeps one teacher's head resident at a time, and keeps all ranks on the same teacher.

Shapes: B sequences, S padded tokens, N response tokens of the microbatch.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from tasks.model.log_probs import TokenBatch, pad_right
from tasks.onpolicy.cuts import cut, fill
from tasks.onpolicy.settings import Normalisation
from tasks.rollout.collect import Rollout


@dataclass(frozen=True)
class Scored:
    """A rollout with what the objective needs to know of it beyond its tokens.

    A rollout that several teachers score stands once for each of them, with its share of each.
    """

    rollout: Rollout
    teacher: str = ""
    """The teacher that scores it; empty where none does."""
    outcome_advantage: float = 0.0
    """From the grade, the same for every token of the rollout."""
    share: float = 1.0
    """This teacher's part of the rollout; over the teachers of one rollout it sums to 1."""
    weight: float = 1.0
    """How much a balance makes of it beside others; only ratios matter."""
    masked: bool = False
    """Counted in every denominator, and no part of the loss."""


@dataclass(frozen=True)
class Microbatch:
    """Sequences of one teacher, ready for forward and backward."""

    teacher: str
    items: tuple[Scored, ...]
    """The rollout of each row."""
    tokens: TokenBatch
    sampler_log_probs_N: Tensor
    outcome_advantages_N: Tensor
    weights_N: Tensor
    """Each token's share of the update's loss; over all its microbatches they sum to 1."""
    update_index: int = 0
    """Which of the step's inner updates it belongs to. From 1 on the policy has moved since it
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


def split_for_updates(scored: Sequence[Scored], num_updates: int, step: int) -> list[list[Scored]]:
    """Deal a step's rollouts to its inner updates, each teacher's evenly, in an order of the step.

    Raises:
        ValueError: if a teacher has fewer rollouts than there are updates: some update would then
            leave it out.
    """
    if num_updates == 1:
        return [list(scored)]
    dealt: list[list[Scored]] = [[] for _ in range(num_updates)]
    by_teacher: dict[str, list[Scored]] = defaultdict(list)
    for item in scored:
        by_teacher[item.teacher].append(item)
    for teacher, items in sorted(by_teacher.items()):
        if len(items) < num_updates:
            raise ValueError(
                f"teacher {teacher!r} scores {len(items)} rollouts in step {step}, fewer than the "
                f"{num_updates} inner updates: give its domain more prompts, or lower "
                "inner_updates"
            )
        random.Random(f"{step} {teacher}").shuffle(items)
        for place, item in enumerate(items):
            dealt[place % num_updates].append(item)
    return dealt


def plan_step(
    scored: Sequence[Scored],
    normalisation: Normalisation,
    max_tokens: int,
    pad_id: int,
    num_ranks: int = 1,
    update_index: int = 0,
) -> list[Microbatch]:
    """Sort an update's rollouts by teacher and length, and cut them into microbatches.

    ``max_tokens`` bounds the padded size of a microbatch; a single longer rollout gets its own.
    Each teacher's microbatches are a multiple of ``num_ranks``, where it has so many rollouts.

    Raises:
        ValueError: if no rollout has a response token, so that there is nothing to learn from.
    """
    if not any(item.rollout.num_response_tokens for item in scored):
        raise ValueError(
            "no response token is left to learn from: every rollout is empty or masked; look at "
            "the prompts and at max_new_tokens"
        )
    by_teacher: dict[str, list[tuple[Scored, float]]] = defaultdict(list)
    for item, weight in zip(scored, _token_weights(scored, normalisation), strict=True):
        if not item.masked:
            by_teacher[item.teacher].append((item, weight))
    if not by_teacher:
        raise ValueError("every teacher is masked, so nothing is left to learn from: unmask one")
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


def _token_weights(scored: Sequence[Scored], normalisation: Normalisation) -> list[float]:
    """Return the weight of each rollout's every token; over all tokens they sum to 1."""
    relative = []
    for item in scored:
        length = item.rollout.num_response_tokens
        part = item.share * item.weight
        if normalisation is Normalisation.SEQUENCE_MEAN:
            part = part / length if length else 0.0
        relative.append(part)
    total = sum(
        part * item.rollout.num_response_tokens for part, item in zip(relative, scored, strict=True)
    )
    return [part / total for part in relative]


def _microbatch(
    group: Sequence[tuple[Scored, float]], pad_id: int, update_index: int
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
