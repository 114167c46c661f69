"""The sampled-token policy gradient that GRPO and the sampled form of MOPD share.

Shapes: N response tokens. Log-probabilities and advantages of teachers are in nats.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.onpolicy.settings import ImportanceMask


@dataclass(frozen=True)
class Importance:
    """The correction for the sampler's numerics, w = p_student / p_sampler, without gradient."""

    ratio_N: Tensor
    """0 where the token is dropped."""
    kept_N: Tensor

    @property
    def dropped_share(self) -> float:
        """Share of tokens outside the window."""
        return 1.0 - float(self.kept_N.float().mean())


def importance(student_N: Tensor, sampler_N: Tensor, mask: ImportanceMask) -> Importance:
    """Return w for each token: the probability ratio inside the window, else 0 (eq. 8)."""
    ratio_N = (student_N - sampler_N).exp().detach()
    kept_N = (ratio_N >= mask.low) & (ratio_N <= mask.high)
    return Importance(torch.where(kept_N, ratio_N, torch.zeros_like(ratio_N)), kept_N)


def policy_gradient(student_N: Tensor, advantage_N: Tensor, ratio_N: Tensor) -> Tensor:
    """Return -w * A * log p for each token [N]; only log p carries gradient (eq. 7)."""
    return -ratio_N * advantage_N.detach() * student_N
