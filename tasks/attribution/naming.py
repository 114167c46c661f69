"""Decides which teacher is named for a behavior, and how reliable such a name is.

The named teacher is the one with the largest log-ratio over the start, or none.
``benchmarks/attribution/`` chose this rule and its threshold on two sets of teachers and tested
them on the others. The results are data (``reliability.json``) and limit what a verdict may claim.
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import Field

from lineage.frozen import Frozen

LEAST_LOG_RATIO = 0.45
"""Minimum log-ratio of a teacher over the start, in nats, to be named for a behavior."""
ALIKE = LEAST_LOG_RATIO
"""Difference in nats within which two teachers find a behavior equally likely, so that both hold
it.

The resolution of the benchmark's data: for named behaviors, 95 % of the log-ratios of teachers
that had not taught them are below it."""
LEAST_NATS = math.log(2)
"""Minimum path integral, in nats, to name a source without a teacher (the outcome reward): it made
the behavior at least twice as likely. No benchmark tests this."""


def holders(
    parts: Mapping[str, float], taught: Mapping[str, float], change: float
) -> tuple[str, ...]:
    """Return the teachers that hold a behavior, the largest log-ratio first; () for none.

    Each has a log-ratio over the start of at least ``LEAST_LOG_RATIO``, and is within ``ALIKE`` of
    the largest. Also, the behavior became more likely under the student, and the ledger holds
    updates of these teachers. The largest path integral is a worse rule: teachers' updates on the
    same tokens cancel each other, and the integral counts each of these pushes.

    Args:
        parts: Path integral of each source in nats.
        taught: Log-ratio of each teacher over the start, in nats.
        change: Change of the student's log-probability, in nats.
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
    """Return the source that is named for a behavior, or "" for none; arguments as in ``holders``.

    It is the only teacher that holds it. If several do, the data cannot distinguish them. If none
    does, the outcome reward may be named.
    """
    held = holders(parts, taught, change)
    if held:
        return held[0] if len(held) == 1 else ""
    others = {source: nats for source, nats in parts.items() if source not in taught}
    best = max(others, key=lambda source: others[source], default="")
    return best if change > 0 and best and others[best] >= LEAST_NATS else ""


FILE = Path(__file__).with_name("reliability.json")


class ShareOfNames(Frozen):
    """The share of names that were right."""

    share: float
    low: float
    high: float
    """Upper end of Wilson's 95 % interval."""
    of: int
    """Number of names, or of behaviors where no teacher should be named."""

    def words(self) -> str:
        """Return the share with its interval and count."""
        return f"{self.share:.0%} ({self.low:.0%} to {self.high:.0%}) of {self.of}"


class NameReliability(Frozen):
    """Reliability of names, by the direction in which the teacher's own updates pushed."""

    pushed: ShareOfNames = Field(alias="pushed towards it")
    """Names where the path integral is positive."""
    did_not: ShareOfNames = Field(alias="did not")
    """Names where the updates pushed against the behavior, or not at all."""


class TwoHolders(Frozen):
    """Planted behaviors that two teachers hold and one was trained on."""

    both: int
    """Plants for which both were named; for no plant only the untrained one was."""
    plants: int


class RankCorrelation(Frozen):
    """Spearman's rank correlation with a retrain of another seed, over behaviors and teachers."""

    first_order: float
    retrain: float
    """Correlation of a retrain with a retrain of another seed."""


class Reliability(Frozen):
    """The benchmark's figures."""

    names: NameReliability
    nobody: ShareOfNames
    """Share of untaught behaviors for which no teacher was named."""
    two_holders: TwoHolders
    rank_correlation: RankCorrelation
    most_tokens: int
    """Most tokens of a tested response; contrasts and sets of behaviors were not tested."""
    weights: int
    """Number of weights of the tested models."""

    def of_name(self, *, pushed: bool) -> str:
        """Return how often a teacher's name was right, in words."""
        tested, how = (
            (self.names.pushed, "toward it") if pushed else (self.names.did_not, "against it")
        )
        return (
            f"of names of teachers with updates that pushed {how}, as here, {tested.words()} were "
            "right where short answers were planted in models of "
            f"{self.weights / 1e6:.2g} M weights"
        )

    def of_nobody(self) -> str:
        """Return in words how often no teacher was named for an untaught behavior."""
        return f"of behaviors that no teacher taught, {self.nobody.words()} were left unnamed"

    def of_holders(self) -> str:
        """Return in words how often both holders were named if one was trained on the behavior."""
        two = self.two_holders
        return (
            "when two teachers held a planted behavior and one of them had taught it, both were "
            f"named for {two.both} of {two.plants}, and the other alone for none: a teacher that "
            "holds a behavior need not have taught it"
        )

    def untested(self, count: int, num_tokens: float, *, is_warmed: bool) -> str:
        """Return in words why the figures do not apply to a question; "" if they do."""
        unlike = ["students after a warm-up"] if is_warmed else []
        if count > 1:
            unlike.append("sets named as one")
        if not num_tokens:
            unlike.append("contrasts")
        elif num_tokens > self.most_tokens:
            unlike.append(f"answers of more than {self.most_tokens} tokens")
        return f"not tested there: {', '.join(unlike)}" if unlike else ""


@cache
def reliability() -> Reliability:
    """Return the benchmark's figures."""
    return Reliability.model_validate_json(FILE.read_bytes())
