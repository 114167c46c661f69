"""The reference KL: how far the student has drifted from the model that it started as.

Shapes: C tokens of a chunk, V vocabulary. Log-probabilities and divergences are in nats.
"""

from dataclasses import dataclass

from torch import Tensor

from tasks.mopd.objectives.exact import read_reverse_kl


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
        tokens_C: What was sampled.
        ratio_C: Importance of each token, without gradient.
        weight: Of the term.
    """
    kl_C, reading = read_reverse_kl(student_CV, start_CV, tokens_C[:, None])
    return ReferenceTerm(
        loss_C=weight * ratio_C * kl_C,
        kl_C=reading.kl_C,
        advantage_C=weight * (reading.teacher_CK - reading.student_CK)[:, 0],
    )
