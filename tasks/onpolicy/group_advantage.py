"""The outcome advantage of GRPO: a rollout's grade within the rollouts of the same prompt."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, pstdev

from tasks.rollout.collect import Rollout

_EPSILON = 1e-6


def group_advantages(rollouts: Sequence[Rollout]) -> list[float]:
    """Return (score - group mean) / group standard deviation for each rollout.

    DeepSeekMath (2402.03300) section 4.1.2. A group in which all scores are equal does not say
    what was better, so all of it gets 0.
    """
    groups = [(rollout.domain, rollout.prompt.id) for rollout in rollouts]
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for rollout, group in zip(rollouts, groups, strict=True):
        scores[group].append(rollout.grade.score)
    return [
        _standardised(rollout.grade.score, scores[group])
        for rollout, group in zip(rollouts, groups, strict=True)
    ]


def _standardised(score: float, group: Sequence[float]) -> float:
    deviation = pstdev(group)
    return (score - fmean(group)) / deviation if deviation > _EPSILON else 0.0
