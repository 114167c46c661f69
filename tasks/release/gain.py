"""Decides whether a teacher is released automatically: a clear gain, and a minimum score."""

import json
from dataclasses import dataclass

from lineage.artifacts import Release
from lineage.errors import LineageError
from lineage.store.store import Store

FORK_POINT, TEACHER = "fork_point", "teacher"
LEAST_SCORE = "least_score"
"""Note of a release's attestation: the minimum that its team had set."""


@dataclass(frozen=True)
class Gain:
    """A teacher's score, and its difference from the fork point on the same held-out prompts."""

    score: float
    """The teacher's mean score."""
    mean: float
    low: float
    high: float
    """Upper end of the difference's 95 % interval; ``low`` is the lower end."""

    @property
    def is_clear(self) -> bool:
        """Whether the teacher is better, beyond chance."""
        return self.low > 0

    def unmet(self, least_score: float) -> str:
        """Return why the teacher is not released automatically; "" if both conditions hold."""
        if not self.is_clear:
            return "it does not beat the fork point"
        if self.score < least_score:
            return f"its score is {self.score:.3f}, below least_score of DOMAIN, {least_score:g}"
        return ""

    def __str__(self) -> str:
        """Return the difference as text."""
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def gain_of(store: Store, release: Release) -> Gain:
    """Return score and gain over the fork point from a release's scorecard.

    Raises:
        LineageError: for a scorecard without that comparison.
    """
    try:
        card = json.loads(store.get_bytes(release.scorecard.digest))
        score = float(card[release.domain][TEACHER]["mean"])
        found = card["paired"][release.domain][FORK_POINT]
        return Gain(score, float(found["mean"]), float(found["low"]), float(found["high"]))
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, LineageError):
            raise
        raise LineageError(
            f"the scorecard {release.scorecard.digest} does not compare the {release.domain} "
            "teacher with its fork point: score it again (score_teacher)"
        ) from error
