"""From which findings on a consolidation is refused. No torch: workflows import it."""

from enum import StrEnum


class Level(StrEnum):
    """The least severe finding that ends a consolidation, unless a person waived it."""

    REFUSAL = "refusal"
    """What the records forbid."""
    WARNING = "warning"
    """Also what they warn of."""
