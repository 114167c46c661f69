"""Walks over a chunk's logits block by block, so that no whole [C, V] log-softmax ever exists.

A block's few buffers stay in a processor's cache, and are used again for the next block.

Shapes: C tokens of a chunk, R rows of a block of it, K words looked at, V vocabulary.
Log-probabilities, divergences and entropies are in nats.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_CPU_ELEMENTS = 1 << 17
"""Of each buffer of a block, for each thread: half a megabyte in fp32, so that four fit a cache."""
_DEVICE_ELEMENTS = 1 << 24
"""The same on an accelerator, where a block is one launch for each operation: 64 MiB in fp32."""


@dataclass(frozen=True)
class Block:
    """Log-probabilities of a few tokens, in buffers that the next block overwrites."""

    rows: slice
    """Where the block stands in the chunk."""
    log_p_RV: Tensor
    """Of the student."""
    log_q_RV: Tensor
    """Of the teacher."""
    p_RV: Tensor
    work_RV: Tensor


def compute_dtype(student_CV: Tensor) -> torch.dtype:
    """Return the precision that divergences are computed in: fp32, or fp64 where logits are."""
    return torch.promote_types(student_CV.dtype, torch.float32)


def row_slices(logits_CV: Tensor) -> list[slice]:
    """Return where the blocks of a chunk stand."""
    num_tokens, vocabulary = logits_CV.shape
    elements = _DEVICE_ELEMENTS
    if logits_CV.device.type == "cpu":
        elements = _CPU_ELEMENTS * torch.get_num_threads()
    height = max(1, elements // vocabulary)
    return [slice(first, min(first + height, num_tokens)) for first in range(0, num_tokens, height)]


def blocks(student_CV: Tensor, teacher_CV: Tensor) -> Iterator[Block]:
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
        yield Block(rows, log_p_RV, log_q_RV, p_RV, work_RV)


@dataclass(frozen=True)
class Reading:
    """What every objective tells of each token on its way. None of it carries gradient."""

    kl_C: Tensor
    """KL(student || teacher) over the whole vocabulary, exact."""
    entropy_C: Tensor
    """Of the student."""
    student_CK: Tensor
    """The student's log-probability of each word looked at."""
    teacher_CK: Tensor

    @classmethod
    def empty(cls, student_CV: Tensor, ids_CK: Tensor) -> "Reading":
        """Return a reading whose rows are yet to be taken."""
        shapes = ids_CK.shape[:1], ids_CK.shape[:1], ids_CK.shape, ids_CK.shape
        dtype = compute_dtype(student_CV)
        return cls(*(student_CV.new_empty(shape, dtype=dtype) for shape in shapes))

    def take(self, block: Block, ids_CK: Tensor) -> None:
        """Read a block's rows, and leave p (log p - log q) in its ``work_RV``."""
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
    """Set terms of an expectation to 0 where the probability is: 0 log 0 is 0, not NaN.

    A word of probability 0 is one that is masked (-inf), or one that no float tells from it. On a
    CPU the look at the least probability is far cheaper than the masking, which few chunks need; on
    an accelerator the host would wait for it.
    """
    if probability_RV.device.type != "cpu" or bool(probability_RV.amin() == 0):
        terms_RV.masked_fill_(probability_RV == 0, 0.0)


@torch.no_grad()
def read(student_CV: Tensor, teacher_CV: Tensor, ids_CK: Tensor) -> Reading:
    """Return divergence, entropy, and both models' log-probabilities of the words ``ids_CK``."""
    reading = Reading.empty(student_CV, ids_CK)
    for block in blocks(student_CV, teacher_CV):
        reading.take(block, ids_CK)
    return reading
