"""The sampled-token policy gradient that GRPO and the sampled form of MOPD share.

Shapes: N response tokens. Log-probabilities and advantages of teachers are in nats.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

import torch
from torch import Tensor

from tasks.onpolicy.settings import Correction, ImportanceMask
from tasks.rollout.collect import Rollout


@dataclass(frozen=True)
class Importance:
    """The correction for the sampler's numerics, w = p_student / p_sampler, without gradient."""

    ratio_N: Tensor
    """Weight of each token: 0 if it is dropped, and at most the bound if it is truncated."""
    dropped_N: Tensor
    """Whether the token is dropped."""
    truncated_N: Tensor
    """Whether its weight was truncated."""

    def report(self) -> dict[str, Tensor]:
        """Return whether the correction acted on each token [N], as 1 or 0."""
        return {"dropped": self.dropped_N.float(), "truncated": self.truncated_N.float()}


def importance(student_N: Tensor, sampler_N: Tensor, mask: ImportanceMask) -> Importance:
    """Return w for each token, from log-probabilities.

    With masking it is the probability ratio inside the window, else 0 (MiMo-V2-Flash eq. 8); with
    truncation min(ratio, high); without a correction 1.
    """
    ratio_N = (student_N - sampler_N).exp().detach()
    none_N = torch.zeros_like(ratio_N, dtype=torch.bool)
    if mask.correction is Correction.NONE:
        return Importance(torch.ones_like(ratio_N), none_N, none_N)
    if mask.correction is Correction.TRUNCATE:
        return Importance(ratio_N.clamp(max=mask.high), none_N, ratio_N > mask.high)
    # Written so that a NaN ratio is dropped too.
    dropped_N = ~((ratio_N >= mask.low) & (ratio_N <= mask.high))
    return Importance(ratio_N.masked_fill(dropped_N, 0.0), dropped_N, none_N)


def policy_gradient(student_N: Tensor, advantage_N: Tensor, ratio_N: Tensor) -> Tensor:
    """Return -w * A * log p for each token [N]; only log p carries gradient (eq. 7)."""
    return -ratio_N * advantage_N.detach() * student_N


_EPSILON = 1e-6


def group_advantages(rollouts: Sequence[Rollout]) -> list[float]:
    """Return (score - group mean) / group standard deviation for each rollout.

    DeepSeekMath (2402.03300) section 4.1.2. A group with equal scores carries no preference, so all
    of it gets 0.
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
