"""Where a step's rollouts come from: prompts drawn by domain, each played so many times."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tasks.rollout.collect import Player, Rollout
from tasks.rollout.environment import Prompt


@dataclass(frozen=True)
class DomainShare:
    """A domain's part of each step."""

    domain: str
    player: Player
    prompts: Sequence[Prompt]
    prompts_per_step: int


class Mixture:
    """Draws from several domains; every draw is repeatable from the seed and the step's number.

    Each domain goes through its prompts in a new random order each epoch. Nothing is kept between
    steps, so a run that is resumed at a step draws what the undisturbed run would have drawn.
    """

    def __init__(self, shares: Sequence[DomainShare], rollouts_per_prompt: int, seed: int) -> None:
        """Refuse a domain without prompts or without a share."""
        for share in shares:
            if not share.prompts or share.prompts_per_step < 1:
                raise ValueError(
                    f"domain {share.domain!r} has {len(share.prompts)} prompts and a share of "
                    f"{share.prompts_per_step} a step, so it would never be trained: give it both"
                )
        self._shares, self._seed = list(shares), seed
        self._rollouts_per_prompt = rollouts_per_prompt

    def rollouts(self, step: int) -> list[Rollout]:
        """Play the prompts of a step (counted from 1) with the policy as it is now."""
        played = []
        for share in self._shares:
            prompts = [p for p in self._draw(share, step) for _ in range(self._rollouts_per_prompt)]
            generator = torch.Generator().manual_seed(_seed_of(self._seed, share.domain, step))
            played += share.player.play(prompts, generator)
        return played

    def _draw(self, share: DomainShare, step: int) -> list[Prompt]:
        first = (step - 1) * share.prompts_per_step
        return [self._at(share, place) for place in range(first, first + share.prompts_per_step)]

    def _at(self, share: DomainShare, place: int) -> Prompt:
        epoch, within = divmod(place, len(share.prompts))
        order = list(range(len(share.prompts)))
        random.Random(f"{self._seed} {share.domain} {epoch}").shuffle(order)
        return share.prompts[order[within]]


def _seed_of(*parts: object) -> int:
    """Return a 63-bit seed that differs wherever a part does."""
    text = " ".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
