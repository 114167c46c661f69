"""Loss terms relative to the initial model of the round: delta targets and the reference KL.

Shapes: C tokens of a chunk, V vocabulary. Log-probabilities and divergences are in nats.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.mopd.losses.exact import reverse_kl_with_stats


@torch.no_grad()
def delta_target(anchor_CV: Tensor, teacher_CV: Tensor, precursor_CV: Tensor) -> Tensor:
    """Return log softmax(anchor + teacher - precursor) [C, V], of logits, in fp32 at least.

    ShiftMOPD (2610.10460), z_A + (z_T - z_B): if teacher and student have different ancestors, the
    target is what the teacher *learned* instead of what it is. The result replaces the teacher's
    logits in any divergence. Passed as the anchor of a second call, it sums the deltas of two
    teachers. A token id that both teacher and precursor rule out (-inf) keeps the anchor's logit.

    Raises:
        ValueError: if the precursor rules out a token id that the teacher does not: the delta is
            infinite. The check reads a number, so a delta costs one host sync per chunk.
    """
    dtype = torch.promote_types(anchor_CV.dtype, torch.float32)
    delta_CV = teacher_CV.to(dtype) - precursor_CV
    both_CV = teacher_CV.isneginf() & precursor_CV.isneginf()
    delta_CV.masked_fill_(both_CV, 0.0)
    if bool(delta_CV.isposinf().any()):
        raise RefusedError(
            "infinite-delta",
            "the precursor gives probability 0 to a token that the teacher allows, so the "
            "teacher's delta is infinite: choose the checkpoint that the teacher was trained from",
        )
    return torch.log_softmax(delta_CV.add_(anchor_CV), dim=-1)


@dataclass(frozen=True)
class ReferenceTerm:
    """The reference's part of a chunk's loss."""

    loss_C: Tensor
    """weight x importance x KL; its gradient goes to the student's logits."""
    kl_C: Tensor
    """KL(student || start) over the whole vocabulary, exact, without gradient."""
    advantage_C: Tensor
    """weight x (log p_start - log p_student) of the sampled token, without gradient."""


def reference_term(
    student_CV: Tensor, start_CV: Tensor, tokens_C: Tensor, ratio_C: Tensor, weight: float
) -> ReferenceTerm:
    """Return weight x KL(student || start) at each visited token.

    The KL term of RLHF (InstructGPT, 2203.02155, eq. 2) as the exact expectation over the next
    token, in place of its sampled estimate: p_j (log p_j - log q_j - KL) for logit j.

    Args:
        student_CV: Logits, with gradient.
        start_CV: Logits of the starting student.
        tokens_C: The sampled tokens.
        ratio_C: Importance of each token, without gradient.
        weight: Weight of the term.
    """
    kl_C, stats = reverse_kl_with_stats(student_CV, start_CV, tokens_C[:, None])
    return ReferenceTerm(
        loss_C=weight * ratio_C * kl_C,
        kl_C=stats.kl_C,
        advantage_C=weight * (stats.teacher_CK - stats.student_CK)[:, 0],
    )
