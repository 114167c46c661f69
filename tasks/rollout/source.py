"""Draws a step's prompts by domain, and samples each a number of times."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tasks.rollout.collect import Question, Rollout
from tasks.rollout.environment import Prompt


@dataclass(frozen=True)
class DomainShare:
    """A domain's part of each step."""

    domain: str
    prompts: Sequence[Prompt]
    prompts_per_step: int

    def __post_init__(self) -> None:
        """Refuse a domain without prompts or without a share."""
        if not self.prompts or self.prompts_per_step < 1:
            raise ValueError(
                f"domain {self.domain!r} has {len(self.prompts)} prompts and a share of "
                f"{self.prompts_per_step} per step, so it would never be trained: set both above 0"
            )


class Plays(Protocol):
    """Plays questions with a policy; ``tasks.rollout.collect.Player``, or several of them."""

    @property
    def noise_per_rollout(self) -> int:
        """Number of uniform random numbers that a rollout may need."""

    def refuse_too_long(self, questions: Sequence[Question]) -> None:
        """Raise ValueError naming a question that leaves no room for a turn in the context."""

    def play(self, questions: Sequence[Question], noise_RT: Tensor) -> list[Rollout]:
        """Play each question once and return the graded rollouts in the same order."""


class Mixture:
    """Draws from several domains; every draw is repeatable from the seed and the step's number.

    Each domain goes through its prompts in a new random order each epoch. Nothing is kept between
    steps, so a run that is resumed at a step draws what the undisturbed run would have drawn.
    """

    def __init__(
        self, player: Plays, shares: Sequence[DomainShare], rollouts_per_prompt: int, seed: int
    ) -> None:
        """Play with ``player``, which knows the domains' environments.

        Raises:
            ValueError: if a prompt does not fit into the model, whatever step would draw it.
        """
        for share in shares:
            player.refuse_too_long([Question(share.domain, prompt) for prompt in share.prompts])
        self._player, self._shares, self._seed = player, list(shares), seed
        self._rollouts_per_prompt = rollouts_per_prompt

    def rollouts(self, step: int) -> list[Rollout]:
        """Sample the prompts of a step (counted from 1) with the current policy."""
        questions, noise = [], []
        for share in self._shares:
            drawn = [
                Question(share.domain, prompt)
                for prompt in self._draw(share, step)
                for _ in range(self._rollouts_per_prompt)
            ]
            questions += drawn
            # Of the domain's own: another domain in the mixture changes nothing here.
            generator = torch.Generator().manual_seed(_seed_of(self._seed, share.domain, step))
            noise.append(noise_for(self._player, len(drawn), generator))
        return self._player.play(questions, torch.cat(noise))

    def _draw(self, share: DomainShare, step: int) -> list[Prompt]:
        first = (step - 1) * share.prompts_per_step
        orders: dict[int, list[int]] = {}
        drawn = []
        for place in range(first, first + share.prompts_per_step):
            epoch, within = divmod(place, len(share.prompts))
            if epoch not in orders:
                orders[epoch] = self._order(share, epoch)
            drawn.append(share.prompts[orders[epoch][within]])
        return drawn

    def _order(self, share: DomainShare, epoch: int) -> list[int]:
        order = list(range(len(share.prompts)))
        random.Random(f"{self._seed} {share.domain} {epoch}").shuffle(order)
        return order


def noise_for(player: Plays, num_rollouts: int, generator: torch.Generator) -> Tensor:
    """Return uniform noise [rollouts, tokens] for a player.

    It is drawn token by token, so a player that may need more of it sees the same numbers first.
    """
    return torch.rand(player.noise_per_rollout, num_rollouts, generator=generator).T


def _seed_of(*parts: object) -> int:
    """Return a 63-bit seed that differs wherever a part does."""
    text = " ".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
