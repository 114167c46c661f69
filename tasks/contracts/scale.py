"""The scales of what runs on the testbed."""

from enum import StrEnum


class Scale(StrEnum):
    """Size of a testbed and of the recipes that run on it."""

    MICRO = "micro"
    """Every stage in seconds, and nothing is learned: for tests."""
    TINY = "tiny"
    """A model of about a million weights; a recipe takes minutes on two cores."""
    PUBLISHED = "published"
    """A pre-trained model and the numbers of the source, for a cluster."""
