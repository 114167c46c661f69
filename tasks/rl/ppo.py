"""The advantage of each token by a value network: PPO (1707.06347) with GAE.

The reward of a rollout comes with its last token, and the penalty of each token with it, as in
InstructGPT (2203.02155) C.4: a bandit with a KL for each token.
"""

from collections.abc import Sequence

from tasks.onpolicy.microbatch import ADVANTAGE, ScoredRollout
from tasks.onpolicy.settings import LoopSettings
from tasks.rl.actor_critic import ValueSettings
from tasks.rl.critic import Critic, Valued, dealt
from tasks.rl.gae import generalized_advantages, whitened
from tasks.rl.token_numbers import Numbers, token_numbers
from tasks.rollout.collect import Rollout


class TokenAdvantage:
    """Compares each token with the value of what precedes it."""

    def __init__(
        self, critic: Critic, settings: ValueSettings, loop: LoopSettings, pad_id: int
    ) -> None:
        """Take the critic; it learns in as many updates and epochs as the policy."""
        self._critic, self._settings, self._loop, self._pad_id = critic, settings, loop, pad_id
        self._valued: list[Valued] = []

    def score(
        self, rollouts: Sequence[Rollout], rewards: Sequence[float], penalties: Sequence[Numbers]
    ) -> list[ScoredRollout]:
        """Give each token its advantage, and keep the returns for the critic."""
        values = token_numbers(rollouts, self._critic.values, self._pad_id)
        advantages = [
            generalized_advantages(
                token_rewards(reward, penalty, len(own)),
                own,
                self._settings.gamma,
                self._settings.gae_lambda,
            )
            for reward, penalty, own in zip(rewards, penalties, values, strict=True)
        ]
        self._valued = [
            Valued(rollout, own, tuple(a + v for a, v in zip(advantage, own, strict=True)))
            for rollout, own, advantage in zip(rollouts, values, advantages, strict=True)
            if own
        ]
        if self._settings.whiten:
            advantages = whitened(advantages)
        return [
            ScoredRollout(rollout, numbers={ADVANTAGE: tuple(advantage)})
            for rollout, advantage in zip(rollouts, advantages, strict=True)
        ]

    def end_step(self, step: int) -> dict[str, float]:
        """Let the critic learn from the step's rollouts."""
        if not self._valued:
            return {}
        errors = [
            (target - value) ** 2
            for valued in self._valued
            for value, target in zip(valued.values, valued.returns, strict=True)
        ]
        targets = [target for valued in self._valued for target in valued.returns]
        parts = dealt(self._valued, self._loop.inner_updates, self._loop.inner_epochs, step)
        return {
            "value_error": sum(errors) / len(errors),
            "value_target": sum(targets) / len(targets),
            **self._critic.learn(parts, step),
        }


def token_rewards(reward: float, penalty: Sequence[float], count: int) -> list[float]:
    """Return the reward after each of a rollout's tokens."""
    rewards = [-each for each in penalty] or [0.0] * count
    if rewards:
        rewards[-1] += reward
    return rewards
