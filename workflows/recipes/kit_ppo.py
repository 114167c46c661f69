"""What recipes with PPO share: the clip of its ratio, and the KL in its reward."""

from tasks.rl.variants import (
    ClipSettings,
    KlEstimator,
    KlPlace,
    KlReference,
    KlSettings,
    RatioSettings,
)


def clipped(bound: float) -> RatioSettings:
    """Return the ratio clipped to ``bound`` on both sides of 1."""
    return RatioSettings(clip=ClipSettings(low=bound, high=bound))


def kl_penalty(coefficient: float) -> KlSettings:
    """Return the log-ratio to a given reference, subtracted from the reward of each token."""
    return KlSettings(
        coefficient=coefficient,
        estimator=KlEstimator.K1,
        place=KlPlace.REWARD,
        reference=KlReference.GIVEN,
    )
