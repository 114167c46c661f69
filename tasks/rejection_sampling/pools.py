"""What all selections share: pools of one prompt, scores that must be there, readable responses."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from tasks.contracts.refusal import RefusedError
from tasks.rollout.responses import ScoredResponse

PromptKey = tuple[str, str, str]
"""Domain, id and template mode of a prompt."""


class Readability(BaseModel):
    """Which responses may be learned from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    drop_truncated: bool = True
    """Whether responses that were cut off at a limit of tokens are dropped."""
    max_tokens: int = Field(default=0, ge=0)
    """Maximum number of generated tokens; 0 sets no limit."""
    max_repetition: float = Field(default=1.0, ge=0, le=1)
    """Maximum share of repeated runs of four words; see ``repetition``."""
    least_scores: dict[str, float] = Field(default_factory=dict)
    """Minimum score by scorer, such as one for a consistent language."""

    def keeps(self, response: ScoredResponse) -> bool:
        """Return whether a response passes every limit."""
        return not (
            (self.drop_truncated and response.truncated)
            or (self.max_tokens and response.num_tokens > self.max_tokens)
            or repetition(text_of(response)) > self.max_repetition
            or any(response.scores[name] < least for name, least in self.least_scores.items())
        )


_RUN = 4


def repetition(text: str) -> float:
    """Return the share of runs of four words that occurred before in the text, 0 to 1.

    A text of fewer than five words has none.
    """
    words = text.split()
    runs = Counter(tuple(words[place : place + _RUN]) for place in range(len(words) - _RUN + 1))
    total = runs.total()
    return 1.0 - len(runs) / total if total else 0.0


def text_of(response: ScoredResponse) -> str:
    """Return what the model wrote, over all of its turns."""
    return "\n".join(turn.content for turn in response.turns if turn.role == "assistant")


def conversation_of(response: ScoredResponse) -> str:
    """Return mode, prompt and response as one text, as duplicates are found by."""
    said = [" ".join((m.role, m.content, *m.images)) for m in response.prompt.messages]
    said += [f"{turn.role} {turn.content}" for turn in response.turns]
    return "\n".join([response.prompt.mode, *said])


def key_of(response: ScoredResponse) -> PromptKey:
    """Return the prompt that a response answers."""
    return response.domain, response.prompt.id, response.prompt.mode


def by_prompt(responses: Sequence[ScoredResponse]) -> dict[PromptKey, list[ScoredResponse]]:
    """Return the responses of each prompt, prompts and responses in the order given."""
    pools: dict[PromptKey, list[ScoredResponse]] = {}
    for response in responses:
        pools.setdefault(key_of(response), []).append(response)
    return pools


def refuse_unscored(responses: Sequence[ScoredResponse], scorers: Sequence[str]) -> None:
    """Refuse a scorer that no response has, or that some lack.

    Raises:
        RefusedError: ``unknown-scorer`` and ``missing-scores``; ``no-responses`` for an empty list.
    """
    if not responses:
        raise RefusedError(
            "no-responses", "the list of responses is empty: give at least one set with rows"
        )
    counts = Counter(name for response in responses for name in response.scores)
    for scorer in scorers:
        if not counts[scorer]:
            raise RefusedError(
                "unknown-scorer",
                f"no response has a score by {scorer!r}, only by {sorted(counts)}: score the "
                "responses with it first, or name another scorer",
            )
        if counts[scorer] < len(responses):
            raise RefusedError(
                "missing-scores",
                f"{len(responses) - counts[scorer]} of {len(responses)} responses have no score by "
                f"{scorer!r}, so the selection would depend on what was scored: score all of them",
            )


def refuse_nothing_left(kept: int, total: int, what: str, counts: Mapping[str, int]) -> None:
    """Refuse a selection that leaves nothing, with the counts of what it dropped."""
    if kept:
        return
    dropped = ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in counts.items())
    raise RefusedError(
        "nothing-left",
        f"the selection leaves none of {total} {what} ({dropped}): widen it, sample more "
        "responses per prompt, or take other prompts",
    )
