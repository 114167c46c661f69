"""The per-token losses of multi-teacher on-policy distillation.

Shapes: N response tokens of one microbatch, so of one teacher; V vocabulary. Log-probabilities,
divergences and advantages are in nats.
"""

import torch
from torch import Tensor


def reverse_kl(student_NV: Tensor, teacher_NV: Tensor) -> Tensor:
    """Return KL(student || teacher) at each token [N] over the whole vocabulary.

    The inputs are logits. The gradient goes to the student alone. This is the exact expectation
    of the sampled-token form: DeepSeek-V4 (2606.19348) eq. 29, MOPD (2606.30406) eq. 1.
    """
    student_log_NV = torch.log_softmax(student_NV, dim=-1)
    teacher_log_NV = torch.log_softmax(teacher_NV.detach(), dim=-1)
    return (student_log_NV.exp() * (student_log_NV - teacher_log_NV)).sum(-1)


def teacher_advantage(student_N: Tensor, teacher_N: Tensor, clip: float) -> Tensor:
    """Return clip(log p_teacher - log p_student, -clip, clip) for each sampled token [N].

    MOPD (2606.30406) eq. 2 to 4, where A_max is 5. No gradient flows through it.
    """
    return (teacher_N - student_N).detach().clamp(-clip, clip)
