"""What the settings of RL turn on: each reports whether it was evaluated and how strongly it acted.

One that never acted in a whole run is named at its end. None of them must act within the first
steps: a clip has nothing to do while the policy stands still.
"""

from collections.abc import Iterator

from tasks.onpolicy.feature_checks import FeatureCheck
from tasks.rl.settings import RlSettings
from tasks.rl.variants import RatioSettings, ZeroVariance
from tasks.scoring.terms import RewardSettings


def mechanisms(settings: RlSettings) -> Iterator[FeatureCheck]:
    """Yield a check for each variant that is configured."""
    yield from _of_ratio(settings.ratio)
    groups, kl = settings.groups, settings.kl
    if kl is not None:
        yield _check("kl", "kl", "The policy never moved away from its reference: remove kl")
        if kl.reset_every:
            yield _check("reset", "objective", "Lower kl.reset_every, or set it to 0")
    if settings.hint is not None:
        yield _check("hinted", "hint", "No turn matched a rule of hint: correct its pattern")
    if settings.rewards is not None:
        yield from _of_rewards(settings.rewards)
    if groups.zero_variance is not ZeroVariance.KEEP:
        yield _check("zero_variance", "source", "No group had equal rewards: keep all groups")
    if groups.overlong is not None:
        yield _check("overlong", "source", "No rollout was near its limit: remove groups.overlong")


def _of_ratio(ratio: RatioSettings) -> Iterator[FeatureCheck]:
    if ratio.clip is not None:
        yield _check("clipped", "surrogate", "Lower the bounds of ratio.clip, or remove it")
    if ratio.most is not None:
        yield _check("capped", "surrogate", "Lower ratio.most, or remove it")
    if ratio.negative_mask is not None:
        yield _check("negative_mask", "surrogate", "Lower ratio.negative_mask, or remove it")


def _of_rewards(rewards: RewardSettings) -> Iterator[FeatureCheck]:
    for term in rewards.terms:
        remedy = "It was always 0 where it counted: check its settings, or remove it"
        yield _check(f"term-{term.name}", "source", remedy)
    if rewards.guard is not None:
        yield _check("guard", "source", "Its threshold was never crossed: change it, or remove it")
    if rewards.toggle is not None:
        yield _check("toggle", "source", "No rollout was over its budget: lower toggle.quantile")


def _check(name: str, module: str, remedy: str) -> FeatureCheck:
    return FeatureCheck(name, must_bind=False, where=f"tasks.rl.{module}", remedy=remedy)
