"""Reward models beside the gold score of the same answers, so that over-optimization shows."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_responses
from tasks.rollout.responses import GRADE, ScoredResponse


class RewardScore(Frozen):
    """What a reward model thinks of a stage's answers, and what they are worth."""

    reward: float
    """Mean score by the reward model."""
    gold: float
    """Mean grade of the same answers."""
    answers: int


RewardScores = dict[str, dict[str, dict[str, RewardScore]]]
"""Stage to domain to reward model to score."""


def read_reward_scores(runner: StepRunner, scored: Sequence[Artifact]) -> RewardScores:
    """Return the scores of stored responses, which name their stage as the sampler."""
    return reward_scores([r for item in scored for r in stored_responses(runner.store, item)])


def reward_scores(responses: Sequence[ScoredResponse]) -> RewardScores:
    """Return the mean scores of responses by sampler, domain and reward model."""
    pools: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for response in responses:
        for name, score in response.scores.items():
            if name != GRADE:
                key = (response.sampler, response.domain, name)
                pools[key].append((score, response.scores[GRADE]))
    found: RewardScores = {}
    for (sampler, domain, name), pairs in pools.items():
        rewards, golds = zip(*pairs, strict=True)
        both = RewardScore(reward=fmean(rewards), gold=fmean(golds), answers=len(pairs))
        found.setdefault(sampler, {}).setdefault(domain, {})[name] = both
    return found
