"""Comparisons by prompt: each response once, with all pairs in which it occurs.

InstructGPT (2203.02155, section 3.5) trains on all comparisons of a prompt in one batch element:
as separate rows they over-fit in a single pass, because each response comes up K - 1 times.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens, Tokens
from tasks.reward_model.settings import Margin
from tasks.rollout.responses import PreferencePair, Strength
from tasks.supervised.comparisons import is_at_least, token_pair

MARGINS = {
    Margin.NONE: dict.fromkeys(Strength, 0.0),
    Margin.SMALL: {
        Strength.SIGNIFICANTLY: 1.0,
        Strength.BETTER: 2 / 3,
        Strength.SLIGHTLY: 1 / 3,
        Strength.NEGLIGIBLY: 0.0,
    },
    Margin.LARGE: {
        Strength.SIGNIFICANTLY: 3.0,
        Strength.BETTER: 2.0,
        Strength.SLIGHTLY: 1.0,
        Strength.NEGLIGIBLY: 0.0,
    },
}
"""stated: Llama 2 (2307.09288), table 27."""


@dataclass(frozen=True)
class ComparedPair:
    """Two responses of a group by their places; the chosen one is the better one."""

    chosen: int
    rejected: int
    strength: Strength


@dataclass(frozen=True)
class ComparedGroup:
    """A prompt with its responses and all comparisons between them."""

    prompt: str
    responses: list[Tokens] = field(default_factory=list)
    pairs: list[ComparedPair] = field(default_factory=list)

    def place_of(self, response: Tokens) -> int:
        """Return the place of a response, which is added if it is new."""
        if response not in self.responses:
            self.responses.append(response)
        return self.responses.index(response)


def split(
    comparisons: Sequence[PreferencePair], share: float, least: Strength
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Return the comparisons to train on, of at least a strength, and those that are held out.

    A prompt is held out by the hash of its id, with comparisons of every strength.

    Raises:
        RefusedError: ``no-comparison`` if nothing is left to train on, ``no-held-out-comparison``
            if nothing is held out although a share is.
    """
    held = [pair for pair in comparisons if _place_of(pair.prompt) < share]
    kept = [
        pair for pair in comparisons if _place_of(pair.prompt) >= share and is_at_least(pair, least)
    ]
    if not kept or (share and not held):
        raise RefusedError(
            "no-held-out-comparison" if kept else "no-comparison",
            f"of {len(comparisons)} comparisons, {len(kept)} train and {len(held)} measure, at a "
            f"held_out_share of {share} and from {least.value!r} on: give comparisons of more "
            "prompts, or change these two settings",
        )
    return kept, held


def groups_of(comparisons: Iterable[PreferencePair], chat: ChatTokens) -> list[ComparedGroup]:
    """Return the comparisons by prompt, in the order of the first of each.

    Raises:
        RefusedError: ``missing-side`` or ``same-response`` for a pair that cannot be compared.
    """
    groups: dict[tuple[object, ...], ComparedGroup] = {}
    for pair in comparisons:
        tokens = token_pair(pair, chat)
        key = (pair.domain, pair.prompt, pair.messages, pair.mode)
        group = groups.setdefault(key, ComparedGroup(pair.prompt))
        group.pairs.append(
            ComparedPair(
                group.place_of(tokens.chosen), group.place_of(tokens.rejected), pair.strength
            )
        )
    return list(groups.values())


def _place_of(prompt: str) -> float:
    """Return a number in [0, 1) that depends on the prompt alone."""
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8], "big") / 2**64
