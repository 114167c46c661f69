"""The policy-gradient loss of a token: its probability ratio, and what bounds it.

Shapes: C response tokens of a chunk. Log-probabilities are in nats.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.onpolicy.microbatch import Microbatch
from tasks.onpolicy.policy_gradient import importance, policy_gradient
from tasks.onpolicy.settings import Correction, ImportanceMask
from tasks.rl.variants import ClipRule, ClipSettings, RatioBase, RatioSettings

OLD = "old"
"""Name of the numbers that are the policy's log-probabilities at the start of the step."""


@dataclass(frozen=True)
class Surrogate:
    """The loss of each token, with what a KL term needs."""

    loss_C: Tensor
    ratio_C: Tensor
    """Ratio of the policy and its base, with gradient."""
    weight_C: Tensor
    """Weight of each token's policy gradient, without gradient."""
    report: dict[str, Tensor]
    """Whether a bound acted on each token, as 1 or 0."""


def surrogate(
    student_C: Tensor,
    batch: Microbatch,
    chunk: slice,
    settings: RatioSettings,
    mask: ImportanceMask,
    upper: float = 0.0,
) -> Surrogate:
    """Return the loss of some tokens of a microbatch.

    ``upper`` is the present upper bound of an adaptive clip. Without bounds and with the sampler
    as the base, the loss is -w A log p with the weight w of ``importance``, which has the gradient
    of -w A.
    """
    sampler_C = batch.sampler_log_probs_N[chunk]
    advantage_C = batch.outcome_advantages_N[chunk].detach()
    base_C = sampler_C if settings.base is RatioBase.SAMPLER else _old(student_C, batch, chunk)
    ratio_C = (student_C - base_C).exp()
    if settings.base is RatioBase.SAMPLER:
        weight = importance(student_C, sampler_C, mask)
        if settings.clip is None and settings.most is None:
            loss_C = policy_gradient(student_C, advantage_C, weight.ratio_N)
            squared_C = settings.squared_log * (student_C - base_C).square()
            if settings.squared_log:
                loss_C = loss_C + squared_C
            return Surrogate(loss_C, ratio_C, weight.ratio_N, weight.report())
        kept_C = 1 - weight.dropped_N.float()
        bounded_C = ratio_C.clamp(max=mask.high) if _truncates(mask) else ratio_C
    else:
        weight = importance(base_C, sampler_C, mask)
        kept_C, bounded_C = weight.ratio_N, ratio_C
    report = weight.report()
    if settings.most is not None:
        report["capped"] = (ratio_C > settings.most).float()
        bounded_C = bounded_C.clamp(max=settings.most)
    loss_C = -bounded_C * advantage_C
    if settings.clip is not None:
        low, high = bounds(settings.clip, upper)
        outside_C = _outside(bounded_C.detach(), advantage_C, settings.clip.rule, low, high)
        report["clipped"] = outside_C.float()
        # The value stays that of the clipped ratio; the gradient of these tokens is zero.
        loss_C = torch.where(outside_C, -bounded_C.detach().clamp(low, high) * advantage_C, loss_C)
    loss_C = kept_C * loss_C
    if settings.squared_log:
        loss_C = loss_C + settings.squared_log * (student_C - base_C).square()
    return Surrogate(loss_C, ratio_C, kept_C * bounded_C.detach(), report)


def bounds(clip: ClipSettings, upper: float = 0.0) -> tuple[float, float]:
    """Return the bounds of the ratio; ``upper`` is k of an adaptive clip."""
    low = max(0.0, 1 - clip.low)
    return low, (1 / low + upper if clip.adaptive is not None else 1 + clip.high)


def _outside(
    ratio_C: Tensor, advantage_C: Tensor, rule: ClipRule, low: float, high: float
) -> Tensor:
    """Return which tokens get no gradient.

    -min(r A, clip(r) A) has none where the ratio is above its bound with A > 0, or below it with
    A < 0.
    """
    above_C, below_C = ratio_C > high, ratio_C < low
    if rule is ClipRule.SIGN_FREE:
        return above_C | below_C
    return (above_C & (advantage_C > 0)) | (below_C & (advantage_C < 0))


def _old(student_C: Tensor, batch: Microbatch, chunk: slice) -> Tensor:
    """Return the log-probabilities at the start of the step; in a single update, the present."""
    return batch.numbers_N[OLD][chunk] if OLD in batch.numbers_N else student_C.detach()


def _truncates(mask: ImportanceMask) -> bool:
    return mask.correction is Correction.TRUNCATE


def negative_rollouts(batch: Microbatch, delta: float) -> Tensor:
    """Return which tokens [N] are of rollouts that the off-policy mask leaves out.

    DeepSeek-V3.2 section 3.1: A < 0 and mean over tokens of log(p_sampler / p_policy) > delta.
    """
    assert batch.student_log_probs is not None, "the learner sets it"
    gap_N = batch.sampler_log_probs_N - batch.student_log_probs()
    rows_N = batch.tokens.rows_N
    size = batch.tokens.ids_BS.shape[0]
    sums = torch.zeros(2, size, device=gap_N.device)
    sums[0].index_add_(0, rows_N, gap_N)
    sums[1].index_add_(0, rows_N, torch.ones_like(gap_N))
    mean_B = sums[0] / sums[1].clamp(min=1)
    return (mean_B > delta)[rows_N] & (batch.outcome_advantages_N < 0)
