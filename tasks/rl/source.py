"""A step's rollouts with their rewards, and new ones in the place of groups that teach nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import JsonValue

from tasks.rl.grpo import group_of, group_rewards, is_even
from tasks.rl.settings import RlSettings
from tasks.rl.variants import GroupSettings, OverlongRule, ZeroVariance
from tasks.rollout.collect import Rollout
from tasks.scoring.rewards import Rewards


@dataclass(frozen=True)
class Rewarded:
    """The reward of a rollout, and whether it is learned from."""

    reward: float
    overlong: float = 0.0
    """Reward that it lost because of its length, or 1 if it was left out for it."""
    filtered: bool = False
    """Whether it counts in its group, but not in the loss."""
    dropped: bool = False
    """Whether its group is left out, because all of its rewards are equal."""


class Draws(Protocol):
    """Draws the prompts of a step, and others in their place."""

    def rollouts(self, step: int) -> list[Rollout]:
        """Sample the prompts of a step with the current policy."""

    def replacements(
        self, step: int, attempt: int, counts: Counter[str], used: set[tuple[str, str]]
    ) -> list[Rollout]:
        """Sample so many other prompts of each domain, none of those that were ``used``."""


class RewardedSource:
    """A source of rollouts that knows the reward of each."""

    def __init__(self, draws: Draws, settings: RlSettings, rewards: Rewards | None = None) -> None:
        """Draw from ``draws``; without ``rewards`` the environment's grades are the rewards."""
        self._draws, self._settings, self._rewards = draws, settings, rewards
        self._judged: dict[int, tuple[Rollout, Rewarded]] = {}
        self.refilled = self.step = 0
        self._tokens = 0

    def rollouts(self, step: int) -> list[Rollout]:
        """Return the rollouts of a step, those of left-out groups too."""
        self._judged, self.refilled, self.step = {}, 0, step
        played = self._draws.rollouts(step)
        wanted = self._judge(step, played)
        for attempt in range(self._settings.groups.refill_rounds):
            if not wanted:
                break
            used = {group_of(rollout) for rollout in played}
            more = self._draws.replacements(step, attempt, wanted, used)
            if not more:
                break
            found = Counter(domain for domain, _ in {group_of(rollout) for rollout in more})
            self.refilled += found.total()
            wanted = wanted - (found - self._judge(step, more))
            played += more
        self._tokens += sum(rollout.num_response_tokens for rollout in played)
        return played

    def metrics(self) -> dict[str, float]:
        """Return what was left out or sampled again in the last step, where settings ask for it."""
        groups, metrics = self._settings.groups, dict[str, float]()
        rewards = [one.reward for _, one in self._judged.values()]
        if self._rewards is not None:
            metrics["reward_total"] = sum(rewards) / len(rewards)
        if groups.zero_variance is ZeroVariance.REFILL:
            metrics["groups_refilled"] = float(self.refilled)
        if groups.overlong is not None:
            lost = [one.overlong for _, one in self._judged.values()]
            metrics["overlong_penalty"] = sum(lost) / len(lost)
        return metrics

    @property
    def tokens(self) -> int:
        """Tokens that were sampled so far, by the policy and by judges."""
        return self._tokens + (self._rewards.tokens if self._rewards is not None else 0)

    @property
    def verdicts(self) -> dict[str, list[str]]:
        """The last verdicts of each judge, in its own words."""
        return self._rewards.verdicts if self._rewards is not None else {}

    def activity(self) -> dict[str, float]:
        """Return how strongly each part of the reward acted in the last step."""
        return self._rewards.activity() if self._rewards is not None else {}

    def state(self) -> dict[str, JsonValue]:
        """Return the tokens so far, and what the rewards depend on."""
        rewards = self._rewards.state() if self._rewards is not None else {}
        return {"tokens": self._tokens, "rewards": rewards}

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from a ``state``."""
        self._tokens = int(str(state["tokens"]))
        rewards = state["rewards"]
        assert isinstance(rewards, dict)
        if self._rewards is not None:
            self._rewards.load_state(rewards)

    def judged(self, rollout: Rollout) -> Rewarded:
        """Return the judgment of a rollout of the last step."""
        return self._judged[id(rollout)][1]

    def _reward(self, step: int, rollouts: Sequence[Rollout]) -> list[float]:
        if self._rewards is None:
            return [rollout.grade.score for rollout in rollouts]
        return self._rewards(step, rollouts)

    def _judge(self, step: int, rollouts: Sequence[Rollout]) -> Counter[str]:
        """Judge some whole groups, and return by domain how many are left out."""
        groups, cap = self._settings.groups, self._settings.max_new_tokens(step)
        judged = [
            _shortened(Rewarded(reward), rollout, groups, cap)
            for rollout, reward in zip(rollouts, self._reward(step, rollouts), strict=True)
        ]
        rewards = group_rewards(rollouts, [one.reward for one in judged])
        even = set()
        if groups.zero_variance is not ZeroVariance.KEEP:
            even = {group for group, own in rewards.items() if is_even(own)}
        for rollout, one in zip(rollouts, judged, strict=True):
            kept = replace(one, dropped=group_of(rollout) in even)
            self._judged[id(rollout)] = rollout, kept
        return Counter(domain for domain, _ in even)


class StagedDraws:
    """Draws with one limit of tokens after the other."""

    def __init__(self, stages: Sequence[tuple[int, Draws]]) -> None:
        """Take the first step of each stage, in order, and what draws in it."""
        self._stages = stages

    def rollouts(self, step: int) -> list[Rollout]:
        """Sample the prompts of a step."""
        return self._at(step).rollouts(step)

    def replacements(
        self, step: int, attempt: int, counts: Counter[str], used: set[tuple[str, str]]
    ) -> list[Rollout]:
        """Sample other prompts of a step."""
        return self._at(step).replacements(step, attempt, counts, used)

    def _at(self, step: int) -> Draws:
        return [draws for first, draws in self._stages if first <= step][-1]


def _shortened(judged: Rewarded, rollout: Rollout, groups: GroupSettings, cap: int) -> Rewarded:
    """Apply the treatment of truncated rollouts."""
    rule = groups.overlong
    if rule is None:
        return judged
    if rule.rule is OverlongRule.FILTER:
        cut = rollout.truncated
        return replace(judged, filtered=cut, overlong=float(cut))
    share = 1.0 if rollout.truncated else 0.0
    if rule.buffer and not rollout.truncated:
        share = max(0.0, (last_turn_tokens(rollout) - (cap - rule.buffer)) / rule.buffer)
    lost = rule.penalty * share
    return replace(judged, reward=judged.reward - lost, overlong=lost)


def last_turn_tokens(rollout: Rollout) -> int:
    """Return the number of tokens of the model's last turn."""
    count = 0
    for written in reversed(rollout.is_response):
        if not written:
            break
        count += 1
    return count
