"""Log-probabilities of a few token ids at each position, and the sampled-token advantage.

Shapes: C tokens of a chunk, K token ids of each, V vocabulary. Log-probabilities are in nats.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def log_probs_at(student_CV: Tensor, ids_CK: Tensor, log_probs_CK: Tensor) -> Tensor:
    """Return the known ``log_probs_CK`` such that their gradient flows to the logits.

    Args:
        student_CV: Logits.
        ids_CK: The token ids; one may occur twice.
        log_probs_CK: Their log-probabilities under the logits, from ``divergence_stats``.

    Nothing of size [C, V] is made before backward, which makes one, the gradient; the logits
    themselves are held until then.
    """
    apply: Callable[..., Tensor] = _LogProbsAt.apply
    return apply(student_CV, ids_CK, log_probs_CK)


def teacher_advantage(student_C: Tensor, teacher_C: Tensor, clip: float) -> Tensor:
    """Return clip(log p_teacher - log p_student, -clip, clip) for each sampled token [C].

    MOPD (2606.30406) eq. 2 to 4, where A_max is 5. No gradient flows through it.
    """
    return (teacher_C - student_C).detach().clamp(-clip, clip)


class _LogProbsAt(torch.autograd.Function):
    """d log p_k / d z_j = [j is k] - p_j."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch types its attributes nowhere
        student_CV: Tensor,
        ids_CK: Tensor,
        log_probs_CK: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(student_CV, ids_CK)
        return log_probs_CK.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, back_CK: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        student_CV, ids_CK = ctx.saved_tensors
        gradient_CV = torch.softmax(student_CV, -1).mul_(-back_CK.sum(-1, keepdim=True))
        gradient_CV.scatter_add_(-1, ids_CK, back_CK.to(gradient_CV.dtype))
        return gradient_CV, None, None
