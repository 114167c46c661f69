"""Exact divergences over the whole vocabulary, with gradients derived by hand.

A pass goes over a chunk's logits block by block, so that no whole [C, V] log-softmax ever exists. A
block's few buffers stay in a processor's cache, and the next block uses them again. Beside the two
logits given, one tensor of size [C, V] exists: the gradient, from forward to backward, which
backward scales in place and hands on (where the graph is retained, it makes a second). Autograd
through two log-softmaxes has five or six. If the student needs no gradient, none is computed.

Shapes: C tokens of a chunk, R rows of a block of it, K token ids looked at, V vocabulary.
Log-probabilities, divergences and entropies are in nats.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_CPU_ELEMENTS = 1 << 17
"""Elements of one block's buffer per thread: half a megabyte in fp32, so that four fit a cache."""
_DEVICE_ELEMENTS = 1 << 24
"""The same on an accelerator, where a block takes one launch per operation: 64 MiB in fp32."""


@dataclass(frozen=True)
class LogitBlock:
    """Log-probabilities of a few tokens, in buffers that the next block overwrites."""

    rows: slice
    """Rows of the chunk that the block holds."""
    log_p_RV: Tensor
    """Log-probabilities of the student."""
    log_q_RV: Tensor
    """Log-probabilities of the teacher."""
    p_RV: Tensor
    work_RV: Tensor


def compute_dtype(student_CV: Tensor) -> torch.dtype:
    """Return the precision that divergences are computed in: fp32, or fp64 where logits are."""
    return torch.promote_types(student_CV.dtype, torch.float32)


def row_slices(logits_CV: Tensor) -> list[slice]:
    """Return the rows of each block of a chunk."""
    num_tokens, vocabulary = logits_CV.shape
    elements = _DEVICE_ELEMENTS
    if logits_CV.device.type == "cpu":
        elements = _CPU_ELEMENTS * torch.get_num_threads()
    height = max(1, elements // vocabulary)
    return [slice(first, min(first + height, num_tokens)) for first in range(0, num_tokens, height)]


def blocks(student_CV: Tensor, teacher_CV: Tensor) -> Iterator[LogitBlock]:
    """Yield the chunk's rows in blocks, with the log-probabilities of both models."""
    slices, dtype = row_slices(student_CV), compute_dtype(student_CV)
    if not slices:
        return
    buffers = student_CV.new_empty((4, slices[0].stop, student_CV.shape[1]), dtype=dtype)
    for rows in slices:
        log_p_RV, log_q_RV, p_RV, work_RV = buffers[:, : rows.stop - rows.start]
        torch.log_softmax(student_CV[rows], -1, dtype=dtype, out=log_p_RV)
        torch.log_softmax(teacher_CV[rows], -1, dtype=dtype, out=log_q_RV)
        torch.exp(log_p_RV, out=p_RV)
        yield LogitBlock(rows, log_p_RV, log_q_RV, p_RV, work_RV)


@dataclass(frozen=True)
class TokenStats:
    """Statistics of each token that every loss reports, without gradient."""

    kl_C: Tensor
    """KL(student || teacher) over the whole vocabulary, exact."""
    entropy_C: Tensor
    """Entropy of the student."""
    student_CK: Tensor
    """The student's log-probability of each token id looked at."""
    teacher_CK: Tensor

    @classmethod
    def empty(cls, student_CV: Tensor, ids_CK: Tensor) -> "TokenStats":
        """Return statistics with rows that are not computed yet."""
        shapes = ids_CK.shape[:1], ids_CK.shape[:1], ids_CK.shape, ids_CK.shape
        dtype = compute_dtype(student_CV)
        return cls(*(student_CV.new_empty(shape, dtype=dtype) for shape in shapes))

    def accumulate(self, block: LogitBlock, ids_CK: Tensor) -> None:
        """Compute a block's rows, and leave p (log p - log q) in its ``work_RV``."""
        rows, work_RV = block.rows, block.work_RV
        ids_RK = ids_CK[rows]
        torch.gather(block.log_p_RV, -1, ids_RK, out=self.student_CK[rows])
        torch.gather(block.log_q_RV, -1, ids_RK, out=self.teacher_CK[rows])
        torch.mul(block.log_p_RV, block.p_RV, out=work_RV)
        zero_where_impossible(work_RV, block.p_RV)
        torch.sum(work_RV, -1, out=self.entropy_C[rows]).neg_()
        torch.sub(block.log_p_RV, block.log_q_RV, out=work_RV).mul_(block.p_RV)
        zero_where_impossible(work_RV, block.p_RV)
        torch.sum(work_RV, -1, out=self.kl_C[rows])


def zero_where_impossible(terms_RV: Tensor, probability_RV: Tensor) -> None:
    """Set the terms of an expectation to 0 at probability 0: 0 log 0 is 0, not NaN.

    A token id has probability 0 if it is masked (-inf) or its probability underflows. On a CPU,
    checking the smallest probability first is far cheaper than masking, which few chunks need. On
    an accelerator that check would be a host sync.
    """
    if probability_RV.device.type != "cpu" or bool(probability_RV.amin() == 0):
        terms_RV.masked_fill_(probability_RV == 0, 0.0)


@torch.no_grad()
def divergence_stats(student_CV: Tensor, teacher_CV: Tensor, ids_CK: Tensor) -> TokenStats:
    """Return divergence, entropy, and both models' log-probabilities of ``ids_CK``."""
    stats = TokenStats.empty(student_CV, ids_CK)
    for block in blocks(student_CV, teacher_CV):
        stats.accumulate(block, ids_CK)
    return stats


def reverse_kl(student_CV: Tensor, teacher_CV: Tensor) -> Tensor:
    """Return KL(student || teacher) at each token [C] over the whole vocabulary.

    The inputs are logits. The gradient goes to the student alone: p_j (log p_j - log q_j - KL) for
    logit j. This is the exact expectation of the sampled-token form: DeepSeek-V4 (2606.19348)
    eq. 29, MOPD (2606.30406) eq. 1.

    A token id that the student rules out (-inf) adds nothing and gets no gradient, whatever its
    probability under the teacher. If the teacher rules out one that the student allows, the
    divergence is infinite and its gradient is not finite; the optimizer then refuses the step.
    """
    return reverse_kl_with_stats(student_CV, teacher_CV, _no_tokens(student_CV))[0]


def forward_kl(student_CV: Tensor, teacher_CV: Tensor) -> Tensor:
    """Return KL(teacher || student) at each token [C] over the whole vocabulary.

    The inputs are logits. The gradient goes to the student alone: p_j - q_j for logit j. It is
    infinite if the student rules out (-inf) a token id that the teacher allows; the gradient stays
    finite.
    """
    return forward_kl_with_stats(student_CV, teacher_CV, _no_tokens(student_CV))[0]


def reverse_kl_with_stats(
    student_CV: Tensor, teacher_CV: Tensor, ids_CK: Tensor
) -> tuple[Tensor, TokenStats]:
    """Return ``reverse_kl`` with the statistics of the same pass."""
    return _divergence(student_CV, teacher_CV, ids_CK, _reverse_rows)


def forward_kl_with_stats(
    student_CV: Tensor, teacher_CV: Tensor, ids_CK: Tensor
) -> tuple[Tensor, TokenStats]:
    """Return ``forward_kl`` with the statistics of the same pass."""
    return _divergence(student_CV, teacher_CV, ids_CK, _forward_rows)


_Rows = Callable[[LogitBlock, Tensor, Tensor | None], Tensor]
"""Maps block, reverse KL [R] and an optional gradient buffer [R, V] to the divergence [R]."""


def _divergence(
    student_CV: Tensor, teacher_CV: Tensor, ids_CK: Tensor, rows: _Rows
) -> tuple[Tensor, TokenStats]:
    stats = TokenStats.empty(student_CV, ids_CK)
    if not torch.is_grad_enabled():
        student_CV = student_CV.detach()
    apply: Callable[..., Tensor] = _Divergence.apply
    return apply(student_CV, teacher_CV, ids_CK, stats, rows), stats


def _reverse_rows(block: LogitBlock, kl_R: Tensor, gradient_RV: Tensor | None) -> Tensor:
    """Return the reverse KL of a block, after ``TokenStats.accumulate``, and write its gradient."""
    if gradient_RV is not None:
        torch.addcmul(block.work_RV, block.p_RV, kl_R[:, None], value=-1, out=gradient_RV)
    return kl_R


def _forward_rows(block: LogitBlock, _kl_R: Tensor, gradient_RV: Tensor | None) -> Tensor:
    """Return the forward KL of a block, and write its gradient; its buffers are used up."""
    terms_RV = torch.sub(block.log_q_RV, block.log_p_RV, out=block.work_RV)
    q_RV = block.log_q_RV.exp_()
    terms_RV.mul_(q_RV)
    zero_where_impossible(terms_RV, q_RV)
    if gradient_RV is not None:
        torch.sub(block.p_RV, q_RV, out=gradient_RV)
    return terms_RV.sum(-1)


class _Divergence(torch.autograd.Function):
    """A divergence [C] that computes value and gradient in one pass."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch types its attributes nowhere
        student_CV: Tensor,
        teacher_CV: Tensor,
        ids_CK: Tensor,
        stats: TokenStats,
        rows: _Rows,
    ) -> Tensor:
        gradient_CV = torch.empty_like(student_CV) if ctx.needs_input_grad[0] else None
        divergence_C = student_CV.new_empty(len(student_CV), dtype=compute_dtype(student_CV))
        for block in blocks(student_CV, teacher_CV):
            stats.accumulate(block, ids_CK)
            gradient_RV = gradient_CV[block.rows] if gradient_CV is not None else None
            divergence_C[block.rows] = rows(block, stats.kl_C[block.rows], gradient_RV)
        ctx.save_for_backward(gradient_CV)
        return divergence_C

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, back_C: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (gradient_CV,) = ctx.saved_tensors
        if torch._C._autograd._get_current_graph_task_keep_graph():
            # A later backward needs it unchanged.
            return (gradient_CV * back_C[:, None]).to(gradient_CV.dtype), None, None, None, None
        for rows in row_slices(gradient_CV):
            # Of mixed precisions torch copies both to the higher one first.
            gradient_CV[rows].mul_(back_C[rows, None])
        return gradient_CV, None, None, None, None


def _no_tokens(student_CV: Tensor) -> Tensor:
    return torch.empty((len(student_CV), 0), dtype=torch.long, device=student_CV.device)
