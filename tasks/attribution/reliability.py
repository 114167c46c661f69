"""How often names were right where it is known who taught what: what a verdict may claim.

The figures are data, ``reliability.json``: results of ``benchmarks/attribution.py`` (keys
``verdict``, ``two_holders`` and ``absence``) over the sets of teachers that neither the way to name
nor its threshold was chosen on. A test holds them to the results.
"""

from functools import cache
from pathlib import Path

from pydantic import Field

from lineage.artifacts import Frozen

FILE = Path(__file__).with_name("reliability.json")


class ShareOfNames(Frozen):
    """A share of names that were right."""

    share: float
    low: float
    high: float
    """Wilson's 95 % interval, of the share in the figures."""
    of: int
    """Names, or behaviours where nobody was to be named."""

    def words(self) -> str:
        """Return the share with its interval and count."""
        return f"{self.share:.0%} ({self.low:.0%} to {self.high:.0%}) of {self.of}"


class NameReliability(Frozen):
    """Names of a teacher, by what its own updates did to the behaviour."""

    pushed: ShareOfNames = Field(alias="pushed towards it")
    """By the path integral."""
    did_not: ShareOfNames = Field(alias="did not")
    """They pushed against it, or not at all."""


class TwoHolders(Frozen):
    """Plants that two teachers hold, of whom one was asked about them."""

    both: int
    """Plants for which both were named; for no other the one that was not asked alone."""
    plants: int


class RankCorrelation(Frozen):
    """Spearman's rank correlation with a retrain of another seed, over behaviours and teachers."""

    first_order: float
    retrain: float
    """Of a retrain with one of another seed."""


class Reliability(Frozen):
    """The benchmark's figures."""

    names: NameReliability
    nobody: ShareOfNames
    """Behaviours that no teacher taught, and for which nobody was named."""
    two_holders: TwoHolders
    rank_correlation: RankCorrelation
    most_tokens: int
    """Of a response there; contrasts were not tested there, nor sets of behaviours as one."""

    def of_name(self, *, pushed: bool) -> str:
        """Return how often a teacher's name was right, in words."""
        tested, how = (
            (self.names.pushed, "towards it") if pushed else (self.names.did_not, "against it")
        )
        return (
            f"of names of teachers whose updates pushed {how}, as here, {tested.words()} were "
            "right where behaviours were planted"
        )

    def of_nobody(self) -> str:
        """Return how often nobody was named where nobody taught, in words."""
        return f"of behaviours that no teacher taught, {self.nobody.words()} were left unnamed"

    def of_holders(self) -> str:
        """Return how several holders were told where two hold a behaviour and one was asked."""
        two = self.two_holders
        return (
            "where two teachers held a plant and one of them had taught it, both were told for "
            f"{two.both} of {two.plants}, and never the other alone: who holds it is not yet who "
            "taught it"
        )

    def untested(self, count: int, num_tokens: float) -> str:
        """Return in words why it does not carry over to a question, or "" if it does."""
        unlike = []
        if count > 1:
            unlike.append("sets named as one")
        if not num_tokens:
            unlike.append("contrasts")
        elif num_tokens > self.most_tokens:
            unlike.append(f"answers of more than {self.most_tokens} tokens")
        return f"not tested there: {', '.join(unlike)}" if unlike else ""


@cache
def reliability() -> Reliability:
    """Return the figures."""
    return Reliability.model_validate_json(FILE.read_bytes())
