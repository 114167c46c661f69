"""Exact divergences over the whole vocabulary, with their gradients worked out by hand.

What exists of size [C, V] beside the two logits given: one tensor, the gradient, from forward to
backward, which backward scales in place and hands on (where the graph is retained, it makes a
second). Autograd through two log-softmaxes has five or six. Where the student asks for no
gradient there is none.

Shapes: C tokens of a chunk, R rows of a block of it, K words looked at, V vocabulary. Divergences
are in nats.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tasks.mopd.objectives.blocks import (
    Block,
    Reading,
    blocks,
    compute_dtype,
    row_slices,
    zero_where_impossible,
)


def reverse_kl(student_CV: Tensor, teacher_CV: Tensor) -> Tensor:
    """Return KL(student || teacher) at each token [C] over the whole vocabulary.

    The inputs are logits. The gradient goes to the student alone: p_j (log p_j - log q_j - KL) for
    logit j. This is the exact expectation of the sampled-token form: DeepSeek-V4 (2606.19348)
    eq. 29, MOPD (2606.30406) eq. 1.

    A word that the student rules out (-inf) adds nothing and gets no gradient, whatever the
    teacher says of it. Where the teacher rules out a word that the student does not, the
    divergence is infinite and its gradient is not finite either, which the optimizer refuses.
    """
    return read_reverse_kl(student_CV, teacher_CV, _no_words(student_CV))[0]


def forward_kl(student_CV: Tensor, teacher_CV: Tensor) -> Tensor:
    """Return KL(teacher || student) at each token [C] over the whole vocabulary.

    The inputs are logits. The gradient goes to the student alone: p_j - q_j for logit j. It is
    infinite where the student rules out (-inf) a word that the teacher does not, and the gradient
    stays finite.
    """
    return read_forward_kl(student_CV, teacher_CV, _no_words(student_CV))[0]


def read_reverse_kl(
    student_CV: Tensor, teacher_CV: Tensor, ids_CK: Tensor
) -> tuple[Tensor, Reading]:
    """Return ``reverse_kl``, and what else the same walk tells of tokens and words."""
    return _divergence(student_CV, teacher_CV, ids_CK, _reverse_rows)


def read_forward_kl(
    student_CV: Tensor, teacher_CV: Tensor, ids_CK: Tensor
) -> tuple[Tensor, Reading]:
    """Return ``forward_kl``, and what else the same walk tells of tokens and words."""
    return _divergence(student_CV, teacher_CV, ids_CK, _forward_rows)


_Rows = Callable[[Block, Tensor, Tensor | None], Tensor]
"""Block, reverse KL [R] and room for a gradient [R, V], or none; to the divergence [R]."""


def _divergence(
    student_CV: Tensor, teacher_CV: Tensor, ids_CK: Tensor, rows: _Rows
) -> tuple[Tensor, Reading]:
    reading = Reading.empty(student_CV, ids_CK)
    if not torch.is_grad_enabled():
        student_CV = student_CV.detach()
    apply: Callable[..., Tensor] = _Divergence.apply
    return apply(student_CV, teacher_CV, ids_CK, reading, rows), reading


def _reverse_rows(block: Block, kl_R: Tensor, gradient_RV: Tensor | None) -> Tensor:
    """Return the reverse KL of a block, after ``Reading.take``, and write its gradient."""
    if gradient_RV is not None:
        torch.addcmul(block.work_RV, block.p_RV, kl_R[:, None], value=-1, out=gradient_RV)
    return kl_R


def _forward_rows(block: Block, _kl_R: Tensor, gradient_RV: Tensor | None) -> Tensor:
    """Return the forward KL of a block, and write its gradient; its buffers are used up."""
    terms_RV = torch.sub(block.log_q_RV, block.log_p_RV, out=block.work_RV)
    q_RV = block.log_q_RV.exp_()
    terms_RV.mul_(q_RV)
    zero_where_impossible(terms_RV, q_RV)
    if gradient_RV is not None:
        torch.sub(block.p_RV, q_RV, out=gradient_RV)
    return terms_RV.sum(-1)


class _Divergence(torch.autograd.Function):
    """A divergence [C] whose gradient at the student's logits is made with its value."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch types its attributes nowhere
        student_CV: Tensor,
        teacher_CV: Tensor,
        ids_CK: Tensor,
        reading: Reading,
        rows: _Rows,
    ) -> Tensor:
        gradient_CV = torch.empty_like(student_CV) if ctx.needs_input_grad[0] else None
        divergence_C = student_CV.new_empty(len(student_CV), dtype=compute_dtype(student_CV))
        for block in blocks(student_CV, teacher_CV):
            reading.take(block, ids_CK)
            gradient_RV = gradient_CV[block.rows] if gradient_CV is not None else None
            divergence_C[block.rows] = rows(block, reading.kl_C[block.rows], gradient_RV)
        ctx.save_for_backward(gradient_CV)
        return divergence_C

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, back_C: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (gradient_CV,) = ctx.saved_tensors
        if torch._C._autograd._get_current_graph_task_keep_graph():
            # Somebody will come back for it.
            return (gradient_CV * back_C[:, None]).to(gradient_CV.dtype), None, None, None, None
        for rows in row_slices(gradient_CV):
            # Of mixed precisions torch copies both to the higher one first.
            gradient_CV[rows].mul_(back_C[rows, None])
        return gradient_CV, None, None, None, None


def _no_words(student_CV: Tensor) -> Tensor:
    return torch.empty((len(student_CV), 0), dtype=torch.long, device=student_CV.device)
