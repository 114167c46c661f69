"""What a scorer is: anything that gives each response a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.rollout.responses import ScoredResponse


class ResponseScorer(Protocol):
    """Scores responses, such as a reward model or a judge."""

    def score(self, responses: Sequence[ScoredResponse]) -> list[float]:
        """Return a finite number for each response, in order; more is better."""


@dataclass(frozen=True)
class Judgment:
    """A score with the text that it was read from."""

    score: float
    text: str = ""
    num_tokens: int = 0
    """Number of tokens that were written for it."""
    is_parsed: bool = True
    """Whether the text held a score; else the score is the one for unparsable verdicts."""
