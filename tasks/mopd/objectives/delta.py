"""The delta target: what a teacher learned since its precursor, put onto an anchor.

Shapes: C tokens of a chunk, V vocabulary.
"""

import torch
from torch import Tensor


@torch.no_grad()
def delta_target(anchor_CV: Tensor, teacher_CV: Tensor, precursor_CV: Tensor) -> Tensor:
    """Return log softmax(anchor + teacher - precursor) [C, V], of logits, in fp32 at least.

    ShiftMOPD (2610.10460), z_A + (z_T - z_B): for a teacher whose ancestor is not the student's,
    what it *learned* is the target instead of what it is. The result takes the teacher's place in
    any divergence; given as the anchor of a second call, it sums the deltas of two teachers. A
    word that both teacher and precursor rule out (-inf) is left as the anchor has it.

    Raises:
        ValueError: if the precursor rules out a word that the teacher does not: what was learned
            of it is then infinite.
    """
    dtype = torch.promote_types(anchor_CV.dtype, torch.float32)
    delta_CV = teacher_CV.to(dtype) - precursor_CV
    both_CV = teacher_CV.isneginf() & precursor_CV.isneginf()
    delta_CV.masked_fill_(both_CV, 0.0)
    if bool(delta_CV.isposinf().any()):
        raise ValueError(
            "the precursor gives no probability at all to a word that the teacher allows, so the "
            "teacher's delta is infinite: choose the checkpoint that the teacher was trained from"
        )
    return torch.log_softmax(delta_CV.add_(anchor_CV), dim=-1)
