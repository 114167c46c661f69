"""The step plan: rollouts become microbatches, and a microbatch never mixes teachers.

With one teacher per microbatch, the ledger can split a gradient by source without extra passes, one
teacher's head is resident at a time, and all ranks use the same teacher.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, groupby, islice

from tasks.contracts.refusal import RefusedError
from tasks.onpolicy.cuts import cut, fill
from tasks.onpolicy.microbatch import Microbatch, ScoredRollout, Weighted, microbatch_of
from tasks.onpolicy.settings import Normalization


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
    *,
    reads_prefixes_once: bool = False,
) -> list[Microbatch]:
    """Sort an update's rollouts by teacher and length, and cut them into microbatches.

    ``max_tokens`` bounds the padded size of a microbatch; a single longer rollout gets its own.
    Each teacher's number of microbatches is a multiple of ``num_ranks``, if it has enough rollouts.
    If the model reads shared prefixes once and no padding, responses to a prompt stay together.

    Raises:
        ValueError: if no rollout has a response token to learn from.
    """
    if not any(item.rollout.num_response_tokens for item in scored):
        raise RefusedError(
            "no-response-token",
            "no response token is left to learn from: every rollout is empty or masked; check the "
            "prompts and max_new_tokens",
        )
    by_teacher: dict[str, list[Weighted]] = defaultdict(list)
    for item, weight in zip(scored, _token_weights(scored, normalization), strict=True):
        if not item.masked:
            by_teacher[item.teacher].append((item, weight))
    if not by_teacher:
        raise RefusedError(
            "all-masked", "every teacher is masked, so nothing is left to learn from: unmask one"
        )
    units = [
        _by_prompt(items, max_tokens) if reads_prefixes_once else _by_length(items)
        for _, items in sorted(by_teacher.items())
    ]
    return _plan(units, max_tokens, pad_id, num_ranks)


def _by_length(items: Sequence[Weighted]) -> list[list[Weighted]]:
    """Return each rollout as a unit of its own, the shortest first."""
    return [[item] for item in sorted(items, key=lambda weighted: weighted[0].length)]


def _by_prompt(items: Sequence[Weighted], max_tokens: int) -> list[list[Weighted]]:
    """Return the responses to each prompt as units that fit a microbatch, the shortest first."""
    groups: dict[tuple[int, ...], list[Weighted]] = defaultdict(list)
    for weighted in items:
        groups[weighted[0].prompt_ids].append(weighted)
    units = []
    for group in groups.values():
        rows = [item for [item] in _by_length(group)]
        most = max(1, max_tokens // rows[-1][0].length)
        units += [rows[first : first + most] for first in range(0, len(rows), most)]
    return sorted(units, key=_longest)


def _longest(unit: Sequence[Weighted]) -> int:
    return unit[-1][0].length


def _plan(
    lists: Sequence[Sequence[Sequence[Weighted]]],
    max_tokens: int,
    pad_id: int,
    num_ranks: int,
) -> list[Microbatch]:
    """Cut each teacher's units into microbatches."""
    lengths = [[_longest(unit) for unit in units] for units in lists]
    counts = [[len(unit) for unit in units] for units in lists]
    plan = []
    cuts = cut(lengths, max_tokens, counts)
    for units, sizes in zip(lists, cuts, strict=True):
        rows = [_longest(unit) for unit in units for _ in unit]
        remaining = chain.from_iterable(units)
        for size in fill(rows, sizes, num_ranks):
            plan.append(microbatch_of(list(islice(remaining, size)), pad_id))
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
