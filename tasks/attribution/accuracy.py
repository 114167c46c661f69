"""How often names were right where it is known who taught what: what a verdict may claim.

Figures of ``benchmarks/attribution.py`` (key ``verdict`` of its results), of the sets of teachers
that neither the way to name nor its threshold was chosen on. A test holds them to the results.
"""

from dataclasses import dataclass

MOST_TOKENS = 12
"""Of a response there; contrasts were not asked there, nor sets of behaviours as one."""


@dataclass(frozen=True)
class Tested:
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


PUSHED = Tested(0.9941, 0.9787, 0.9984, 338)
"""Names of a teacher whose own updates pushed towards the behaviour, by the path integral."""
DID_NOT = Tested(0.931, 0.7804, 0.9809, 29)
"""... and pushed against it, or not at all."""
NOBODY = Tested(0.9667, 0.9174, 0.987, 120)
"""Behaviours that no teacher taught, and for which nobody was named."""

BOTH, HELD_BY_TWO = 54, 56
"""Plants that two teachers hold, of whom one was asked about them; for BOTH of these both were
told, and for no other the one that was not asked alone (key ``two_holders``)."""

GUESS, RETRAIN = 0.42, 0.51
"""Spearman's rank correlation of ``BoundedTracIn`` with a retrain of another seed, over all pairs
of behaviour and teacher; and of a retrain with one of another seed (key ``absence``)."""


def of_name(*, pushed: bool) -> str:
    """Return how often a teacher's name was right, in words."""
    tested, how = (PUSHED, "towards it") if pushed else (DID_NOT, "against it")
    return (
        f"of names of teachers whose updates pushed {how}, as here, {tested.words()} were right "
        "where behaviours were planted"
    )


def of_nobody() -> str:
    """Return how often nobody was named where nobody taught, in words."""
    return f"of behaviours that no teacher taught, {NOBODY.words()} were left unnamed"


def of_holders() -> str:
    """Return how several holders were told where two hold a behaviour and one was asked."""
    return (
        f"where two teachers held a plant and one of them had taught it, both were told for {BOTH} "
        f"of {HELD_BY_TWO}, and never the other alone: who holds it is not yet who taught it"
    )


def beyond(count: int, num_tokens: float) -> str:
    """Return in words why that does not carry over to a question, or "" if it is of the kind."""
    unlike = []
    if count > 1:
        unlike.append("sets named as one")
    if not num_tokens:
        unlike.append("contrasts")
    elif num_tokens > MOST_TOKENS:
        unlike.append(f"answers of more than {MOST_TOKENS} tokens")
    return f"not tested there: {', '.join(unlike)}" if unlike else ""
