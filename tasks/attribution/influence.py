"""Scores the training rollouts in the ledger's sample by their influence on a behavior.

Up to Adam's scaling, a rollout's part of an update is the gradient of the sum over its tokens of
weight x advantage x log p. Its product with the behaviors' gradient is a first-order influence
(TracIn, 2002.08484, eq. 1, at the start of each rollout's segment). It takes one backward pass for
the behaviors and one forward derivative for all rollouts of a segment. For the exact divergences,
the sampled token's advantage gives the same gradient in expectation over the sampled token.

Shapes: N response tokens of the behaviors, M of the rollouts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.attribution.behavior import Encoded
from tasks.attribution.document import Influence
from tasks.attribution.path_integral import Allocation, Batch
from tasks.attribution.trajectory import Scorer, Stretch
from tasks.ledger.schema import KeptRollout
from tasks.model.chat import ChatTokens
from tasks.model.log_probs import TokenBatch, pad_right

SHOWN = 3
"""Number of rollouts shown per teacher."""


@dataclass(frozen=True)
class RolloutInfluence:
    """A kept rollout and its influence."""

    rollout: KeptRollout
    influence: float


def segments_to_search(allocation: Allocation, teachers: Sequence[str]) -> dict[int, list[str]]:
    """Return the places of the teachers' strongest segments, each with its teachers."""
    found: dict[int, list[str]] = {}
    for teacher in teachers:
        strength = [
            float(allocation.encoded.total(share.by_part[teacher]).sum())
            for share in allocation.segments
        ]
        place = max(range(len(strength)), key=lambda at: strength[at])
        found.setdefault(place, []).append(teacher)
    return found


def search(
    batch: Batch,
    wanted: Mapping[int, Sequence[str]],
    kept: Sequence[KeptRollout],
    course: Iterable[Stretch],
    chat: ChatTokens,
) -> tuple[tuple[Influence, ...], str]:
    """Return the most influential rollouts for a batch of behaviors, and where they were searched.

    Args:
        batch: The behaviors.
        wanted: Teachers with rollouts to search, by the place of a segment.
        kept: The ledger's sample.
        course: The run, segment by segment.
        chat: Chat template of the student.
    """
    scored, words = [], []
    for place, stretch in enumerate(course):
        steps = range(stretch.segment.first_step, stretch.segment.last_step + 1)
        own = [r for r in kept if r.step in steps and r.teacher in wanted.get(place, ())]
        if not own:
            continue
        direction = slope(batch.encoded, batch.scorer, stretch)
        scored += score(own, batch.scorer.on(batch_of(own, chat.pad_id)), stretch, direction)
        words.append(f"{len(own)} of {', '.join(wanted[place])} in steps {steps[0]} to {steps[-1]}")
        del stretch, direction
    return tuple(strongest(scored, chat)), "; ".join(words) or "none: the ledger keeps no rollouts"


def slope(encoded: Encoded, scorer: Scorer, stretch: Stretch) -> dict[str, Tensor]:
    """Return the gradient of the behaviors' summed log-probability at the start of a segment."""
    return scorer.gradient(stretch.start, encoded.signs_N)


def score(
    rollouts: Sequence[KeptRollout], scorer: Scorer, stretch: Stretch, direction: dict[str, Tensor]
) -> list[RolloutInfluence]:
    """Return each rollout's influence along a direction; ``scorer`` scores their ``batch_of``."""
    change_M = scorer.derivatives(stretch.start, [direction])[0]
    sizes = [len(rollout.response) for rollout in rollouts]
    scored = []
    for rollout, change in zip(rollouts, change_M.split(sizes), strict=True):
        advantages = torch.tensor(rollout.advantages[rollout.teacher])
        scored.append(
            RolloutInfluence(rollout, rollout.weight * float((advantages * change).sum()))
        )
    return scored


def batch_of(rollouts: Sequence[KeptRollout], pad_id: int) -> TokenBatch:
    """Return the rollouts as one batch; its chosen tokens are the student's own."""
    chosen = [
        [place in wrote for place in range(len(rollout.ids))]
        for rollout in rollouts
        for wrote in [set(rollout.response)]
    ]
    return pad_right([list(rollout.ids) for rollout in rollouts], chosen, pad_id)


def strongest(scored: Sequence[RolloutInfluence], chat: ChatTokens) -> list[Influence]:
    """Return each teacher's rollouts that pushed most toward the behaviors, strongest first."""
    by_teacher: dict[str, list[RolloutInfluence]] = {}
    for item in sorted(scored, key=lambda item: -item.influence):
        own = by_teacher.setdefault(item.rollout.teacher, [])
        if len(own) < SHOWN and item.influence > 0:
            own.append(item)
    best = [_shown(item, chat) for own in by_teacher.values() for item in own]
    return sorted(best, key=lambda shown: -shown.influence)


def _shown(item: RolloutInfluence, chat: ChatTokens) -> Influence:
    rollout = item.rollout
    first = rollout.response[0]
    return Influence(
        teacher=rollout.teacher,
        step=rollout.step,
        domain=rollout.domain,
        prompt=rollout.prompt,
        score=rollout.score,
        influence=item.influence,
        asked=chat.decode(rollout.ids[:first]),
        answered=chat.decode(rollout.ids[first:]),
    )
