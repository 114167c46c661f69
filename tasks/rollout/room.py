"""The tokens that an episode may have, and the refusal of a prompt that leaves no room."""

from collections.abc import Callable
from dataclasses import dataclass

from tasks.contracts.refusal import RefusedError
from tasks.rollout.environment import Prompt


def nothing_reserved(_domain: str, _prompt: Prompt) -> int:
    """Return 0: the episodes of a prompt may use all positions."""
    return 0


@dataclass(frozen=True)
class Room:
    """How many tokens an episode may have."""

    positions: int | None = None
    """Positions of the model; None without a limit."""
    reserved: Callable[[str, Prompt], int] = nothing_reserved
    """Returns how many of them the episodes of a domain's prompt leave free."""

    def limit(self, domain: str, prompt: Prompt) -> int | None:
        """Return the most tokens of an episode; None without a limit."""
        if self.positions is None:
            return None
        return self.positions - self.reserved(domain, prompt)


WITHOUT_LIMIT = Room()
"""The room of a model without a limit."""


def refuse_long_prompt(domain: str, prompt: Prompt, num_tokens: int, room: int, limit: int) -> None:
    """Raise RefusedError if a prompt and a turn of ``room`` tokens exceed the model's positions.

    ``limit`` is without the positions that the teacher's system prompt takes.
    """
    if num_tokens + room > limit:
        raise RefusedError(
            "prompt-too-long",
            f"prompt {prompt.id!r} of domain {domain!r} has {num_tokens} tokens, "
            f"and with a turn of {room} it does not fit into the {limit} positions that the model "
            "has, less those of a teacher's system prompt: shorten it or drop it, or lower "
            "max_new_tokens",
        )
