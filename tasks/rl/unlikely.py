"""A fixed negative advantage of unlikely tokens: what distillation does without any teacher.

2608.31046 finds that much of what on-policy distillation gains comes back with no teacher at all,
if each sampled token of low probability gets the same negative advantage. So it is a control:
whatever a teacher is said to have taught must be more than this.
"""

from collections.abc import Sequence

from tasks.onpolicy.microbatch import ADVANTAGE, ScoredRollout
from tasks.rl.token_numbers import Numbers
from tasks.rl.variants import UnlikelySettings
from tasks.rollout.collect import Rollout


class UnlikelyTokens:
    """Gives each token the same negative advantage or none, by its probability when sampled."""

    def __init__(self, settings: UnlikelySettings) -> None:
        """Take the bound and the advantage."""
        self._settings = settings
        self._share = 0.0

    def score(
        self, rollouts: Sequence[Rollout], rewards: Sequence[float], penalties: Sequence[Numbers]
    ) -> list[ScoredRollout]:
        """Give each token its advantage; rewards do not count, penalties of tokens do."""
        advantages = [
            self._of(rollout, penalty) for rollout, penalty in zip(rollouts, penalties, strict=True)
        ]
        unlikely = [bool(value) for row in advantages for value in row]
        self._share = sum(unlikely) / max(1, len(unlikely))
        return [
            ScoredRollout(rollout, numbers={ADVANTAGE: advantage})
            for rollout, advantage in zip(rollouts, advantages, strict=True)
        ]

    def end_step(self, step: int) -> dict[str, float]:
        """Return the share of the last step's tokens that were unlikely."""
        return {"unlikely_tokens": self._share}

    def _of(self, rollout: Rollout, penalty: Numbers) -> Numbers:
        sampled = [
            log_prob
            for log_prob, is_response in zip(
                rollout.sampler_log_probs, rollout.is_response, strict=True
            )
            if is_response
        ]
        below, advantage = self._settings.log_prob, self._settings.advantage
        less = penalty or (0.0,) * len(sampled)
        return tuple(
            (advantage if log_prob < below else 0.0) - own
            for log_prob, own in zip(sampled, less, strict=True)
        )
