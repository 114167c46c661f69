"""Losses on a few token ids at each position: reverse KL on the top k, and the sampled token.

The reverse KL on a support has a correction that makes the teacher its minimizer. The sampled token
has its advantage alone.

Shapes: C tokens of a chunk, K token ids of the support (some of them twice), V vocabulary.
Log-probabilities are in nats.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tasks.contracts.refusal import RefusedError
from tasks.model.log_probs import sent
from tasks.mopd.settings import Support, TopK


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


@dataclass(frozen=True)
class SupportTokens:
    """The token ids that count at each position."""

    ids_CK: Tensor
    counted_CK: Tensor
    """Whether an id counts here; a duplicate in a row does not."""
    overlap_C: Tensor
    """Share of the teacher's top k that is in the student's top k."""


@torch.no_grad()
def support_tokens(
    student_CV: Tensor, teacher_CV: Tensor, settings: TopK, control_ids: Sequence[int]
) -> SupportTokens:
    """Return the top k of teacher, student or both, and ``control_ids`` in any case.

    Control tokens decide how a rollout goes on, and a top k with 99.99 % of the mass may still miss
    them (2607.07050).

    Raises:
        ValueError: as ``check_support`` does.
    """
    check_support(settings, control_ids, student_CV.shape[-1])
    teacher_Ck = teacher_CV.topk(settings.k, -1, sorted=False).indices
    student_Ck = student_CV.topk(settings.k, -1, sorted=False).indices
    _, shared_CK = _sorted(torch.cat([teacher_Ck, student_Ck], -1))
    chosen = {
        Support.TEACHER: [teacher_Ck],
        Support.STUDENT: [student_Ck],
        Support.UNION: [teacher_Ck, student_Ck],
    }[settings.support]
    control_CK = sent(torch.tensor(control_ids, dtype=torch.long), student_CV.device)
    ids_CK, repeated_CK = _sorted(
        torch.cat([*chosen, control_CK.expand(len(student_CV), len(control_ids))], -1)
    )
    return SupportTokens(ids_CK, ~repeated_CK, shared_CK.sum(-1) / settings.k)


def check_support(settings: TopK, control_ids: Sequence[int], vocabulary: int) -> None:
    """Raise ValueError if k or a control id is not within the vocabulary."""
    if settings.k > vocabulary:
        raise RefusedError(
            "top-k-above-vocabulary",
            f"top_k.k is {settings.k}, but the vocabulary has {vocabulary} tokens: lower k, or "
            "choose the divergence full_vocabulary",
        )
    if any(not 0 <= control < vocabulary for control in control_ids):
        raise RefusedError(
            "control-id-outside-vocabulary",
            f"control ids {sorted(control_ids)} are not all within a vocabulary of {vocabulary} "
            "tokens: take them from the tokenizer of this model",
        )


def corrected_reverse_kl(student_CK: Tensor, teacher_CK: Tensor, counted_CK: Tensor) -> Tensor:
    """Return the sum over the counted ids of p log(p / q) - p + q at each token [C].

    The inputs are log-probabilities over the whole vocabulary, of the ids of the support. MOPD
    (2606.30406) eq. 5: each id's term has its minimum, 0, at p = q. Without -p + q the derivative
    there is 1 for each p, which shrinks the support's mass step by step. Over the whole vocabulary
    the correction sums to 0, so this is the reverse KL, and less than it over any part.
    """
    p_CK, q_CK = student_CK.exp(), teacher_CK.exp()
    possible_CK = counted_CK & (p_CK > 0)
    log_ratio_CK = torch.where(possible_CK, student_CK - teacher_CK, 0.0)
    return torch.where(counted_CK, p_CK * log_ratio_CK - p_CK + q_CK, 0.0).sum(-1)


def mass(log_probs_CK: Tensor, counted_CK: Tensor) -> Tensor:
    """Return the probability of all counted ids together [C], without gradient."""
    return torch.where(counted_CK, log_probs_CK.detach().exp(), 0.0).sum(-1)


def _sorted(ids_CK: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sorted ids of each row, and which of them are duplicates."""
    ids_CK = ids_CK.sort(-1).values
    repeated_CK = torch.zeros_like(ids_CK, dtype=torch.bool)
    repeated_CK[:, 1:] = ids_CK[:, 1:] == ids_CK[:, :-1]
    return ids_CK, repeated_CK
