"""Checks whether a teacher beats the fork point; only then is it released automatically."""

import json
from dataclasses import dataclass

from lineage.artifacts import Release
from lineage.errors import LineageError
from lineage.store import Store

FORK_POINT = "fork_point"


@dataclass(frozen=True)
class Gain:
    """A teacher minus its fork point on the same held-out prompts, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the teacher is better, beyond chance."""
        return self.low > 0

    def __str__(self) -> str:
        """Return it as text."""
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def gain_of(store: Store, release: Release) -> Gain:
    """Return the gain over the fork point from a release's scorecard.

    Raises:
        LineageError: for a scorecard without that comparison.
    """
    try:
        card = json.loads(store.get_bytes(release.scorecard.digest))
        found = card["paired"][release.domain][FORK_POINT]
        return Gain(float(found["mean"]), float(found["low"]), float(found["high"]))
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, LineageError):
            raise
        raise LineageError(
            f"the scorecard {release.scorecard.digest} does not compare the {release.domain} "
            "teacher with its fork point: score it again (score_teacher)"
        ) from error
