"""One checkpoint on one domain, as it lies in the store."""

from lineage.artifacts import Frozen
from tasks.evaluate.outcomes import PromptOutcome


class Example(Frozen):
    """A played prompt in words, for the report."""

    prompt: str
    messages: tuple[tuple[str, str], ...]
    """(role, content)."""
    turns: tuple[tuple[str, str], ...]
    score: float
    reason: str


class DomainMeasurement(Frozen):
    """A checkpoint's outcomes on a domain's evaluation set."""

    domain: str
    outcomes: tuple[PromptOutcome, ...]
    examples: tuple[Example, ...]

    @property
    def mean(self) -> float:
        """The mean score over prompts and samples."""
        scores = [score for outcome in self.outcomes for score in outcome.scores]
        return sum(scores) / len(scores)
