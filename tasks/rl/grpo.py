"""The advantage of a rollout within its group: GRPO (DeepSeekMath, 2402.03300) and its variants."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, pstdev

from tasks.onpolicy.microbatch import ScoredRollout
from tasks.rl.token_numbers import Numbers
from tasks.rl.variants import AdvantageBaseline, AdvantageScale, AdvantageSettings
from tasks.rollout.collect import Rollout

_EPSILON = 1e-6
"""Least standard deviation; rewards that differ by less are equal."""


class GroupAdvantage:
    """Compares each rollout with the other rollouts of its prompt."""

    def __init__(self, settings: AdvantageSettings | None = None) -> None:
        """Take baseline, scale and clip; by default the mean and the deviation of the group."""
        self._settings = settings or AdvantageSettings()

    def score(
        self, rollouts: Sequence[Rollout], rewards: Sequence[float], penalties: Sequence[Numbers]
    ) -> list[ScoredRollout]:
        """Give each rollout the advantage of its reward less the sum of its tokens' penalties."""
        totals = [reward - sum(penalty) for reward, penalty in zip(rewards, penalties, strict=True)]
        groups = group_rewards(rollouts, totals)
        return [
            ScoredRollout(rollout, outcome_advantage=self._of(total, groups[group_of(rollout)]))
            for rollout, total in zip(rollouts, totals, strict=True)
        ]

    def end_step(self, step: int) -> dict[str, float]:
        """Nothing is learned beside the policy."""
        return {}

    def _of(self, reward: float, group: Sequence[float]) -> float:
        """Return the advantage of a reward in its group; 0 where all rewards are equal."""
        deviation = pstdev(group)
        if deviation <= _EPSILON:
            return 0.0
        advantage = reward - fmean(group)
        if self._settings.baseline is AdvantageBaseline.LEAVE_ONE_OUT:
            advantage *= len(group) / (len(group) - 1)
        if self._settings.scale is AdvantageScale.STD:
            advantage /= deviation
        bound = self._settings.clip
        return advantage if bound is None else max(-bound, min(bound, advantage))


Group = tuple[str, str]
"""Domain and prompt of a group's rollouts."""


def group_of(rollout: Rollout) -> Group:
    """Return the group of a rollout."""
    return rollout.domain, rollout.prompt.id


def group_rewards(
    rollouts: Sequence[Rollout], rewards: Sequence[float]
) -> dict[Group, list[float]]:
    """Return the rewards of each group, in order."""
    groups: dict[Group, list[float]] = defaultdict(list)
    for rollout, reward in zip(rollouts, rewards, strict=True):
        groups[group_of(rollout)].append(reward)
    return groups


def is_even(group: Sequence[float]) -> bool:
    """Return whether the rewards of a group are equal, so that it teaches nothing."""
    return pstdev(group) <= _EPSILON
