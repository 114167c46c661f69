"""Who is named for a behaviour, and how often such a name is right.

Named is the teacher who finds the behaviour likeliest beside the start, or no teacher.
``benchmarks/attribution/`` chose the way to name and its threshold on two sets of teachers; the
others test them. What they found is data, ``reliability.json``, and what a verdict may claim.
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import Field

from lineage.artifacts import Frozen

LEAST_LOG_RATIO = 0.45
"""Nats that a teacher must find a behaviour likelier than the start did, to be named for it."""
ALIKE = LEAST_LOG_RATIO
"""Nats within which two teachers find a behaviour as likely, so that both hold it.

What the benchmark's data resolve: of named behaviours, 95 % of what teachers found there who had
not taught them is below it."""
LEAST_NATS = math.log(2)
"""What has no teacher behind it (the outcome reward) is named if it made the behaviour at least
twice as likely, by the path integral; no benchmark tests this."""


def holders(
    parts: Mapping[str, float], taught: Mapping[str, float], change: float
) -> tuple[str, ...]:
    """Return the teachers that hold a behaviour, who finds it likeliest first; () for none.

    The first finds it likelier than any other and than the start by ``LEAST_LOG_RATIO``; the others
    do the latter too, and less likely than the first by no more than ``ALIKE``. The student came to
    say it more, and the ledger has updates of them at all. The largest path integral names worse:
    teachers' updates cancel each other where they speak about the same words, and the integral
    hands out each of these pushes.

    Args:
        parts: By source, the path integral in nats.
        taught: By teacher, how much likelier it finds the behaviour than the start did, in nats.
        change: Nats that the student came to say it more.
    """
    if change <= 0:
        return ()
    rises = {
        name: nats
        for name, nats in taught.items()
        if nats >= LEAST_LOG_RATIO and parts.get(name, 0.0) != 0.0
    }
    most = max(rises.values(), default=0.0)
    close = [name for name, nats in rises.items() if most - nats <= ALIKE]
    return tuple(sorted(close, key=lambda name: -rises[name]))


def named(parts: Mapping[str, float], taught: Mapping[str, float], change: float) -> str:
    """Return who is named for a behaviour, or "" for none; arguments as of ``holders``.

    That is the one teacher that holds it. Where several do, the data cannot tell them apart. Where
    none does, the outcome reward may be named.
    """
    held = holders(parts, taught, change)
    if held:
        return held[0] if len(held) == 1 else ""
    others = {source: nats for source, nats in parts.items() if source not in taught}
    best = max(others, key=lambda source: others[source], default="")
    return best if change > 0 and best and others[best] >= LEAST_NATS else ""


FILE = Path(__file__).with_name("reliability.json")


class ShareOfNames(Frozen):
    """A share of names that were right."""

    share: float
    low: float
    high: float
    """Wilson's 95 % interval, of the share in the figures."""
    of: int
    """Names, or behaviours where no teacher was to be named."""

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
    """Plants that two teachers hold, of which one was trained on them."""

    both: int
    """Plants for which both were named; for no other the one that was not trained on them alone."""
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
    """Behaviours that no teacher taught, and for which no teacher was named."""
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
            f"of names of teachers with updates that pushed {how}, as here, {tested.words()} were "
            "right where behaviours were planted"
        )

    def of_nobody(self) -> str:
        """Return how often no teacher was named where none taught, in words."""
        return f"of behaviours that no teacher taught, {self.nobody.words()} were left unnamed"

    def of_holders(self) -> str:
        """Return how often both were named where two hold a behaviour and one was trained on it."""
        two = self.two_holders
        return (
            "where two teachers held a plant and one of them had taught it, both were named for "
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
