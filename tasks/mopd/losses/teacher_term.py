"""The teacher's part of the loss at each token, by the configured divergence.

Shapes: C tokens of a chunk, K token ids looked at, V vocabulary. Log-probabilities, divergences and
advantages are in nats.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.mopd.losses.exact import (
    TokenStats,
    divergence_stats,
    forward_kl_with_stats,
    reverse_kl_with_stats,
)
from tasks.mopd.losses.top_k import (
    corrected_reverse_kl,
    log_probs_at,
    mass,
    support_tokens,
    teacher_advantage,
)
from tasks.mopd.settings import DistilSettings, Divergence
from tasks.onpolicy.policy_gradient import Importance, importance, policy_gradient


@dataclass(frozen=True)
class Chunk:
    """The logits at some response tokens, and the sampled tokens."""

    student_CV: Tensor
    teacher_CV: Tensor
    """Logits of the teacher, or other target logits such as ``delta_target``."""
    tokens_C: Tensor
    sampler_log_probs_C: Tensor


@dataclass(frozen=True)
class TeacherTerm:
    """The teacher's part of a chunk's loss."""

    loss_C: Tensor
    """Loss weighted by each token's importance ratio; its gradient goes to the student's logits."""
    report: Mapping[str, Tensor]
    """Measurements, each [C] and without gradient; see ``teacher_term``."""
    advantage_C: Tensor
    """log p_teacher - log p_student of the sampled token, clipped in the sampled form."""
    log_ratio_C: Tensor
    """The same, never clipped."""
    student_C: Tensor
    """log p_student of the sampled token, with gradient, for an outcome's policy gradient."""
    importance: Importance


def teacher_term(chunk: Chunk, settings: DistilSettings, control_ids: Sequence[int]) -> TeacherTerm:
    """Return the loss of each token against its teacher, by the configured divergence.

    In every form the report holds ``kl``, the exact KL(student || teacher) over the vocabulary,
    ``entropy`` of the student, ``from_uniform``, how far the teacher's log-probability of the
    sampled token is from -ln V (0 at every token means that the teacher lost its weights: Relax
    issue 287), and ``dropped`` and ``truncated`` of the importance correction. In the sampled form
    also ``clipped``; in the top-k form ``overlap``, the share of the teacher's top k in the
    student's, and the support's ``student_mass`` and ``teacher_mass``. They come from the one
    softmax per model that the loss needs anyway.

    ``control_ids`` are in the support of the top-k form whatever their probability.
    """
    match settings.divergence:
        case Divergence.FULL_VOCABULARY:
            return _weighed(chunk, settings, *reverse_kl_with_stats(*_logits(chunk)))
        case Divergence.FORWARD:
            return _weighed(chunk, settings, *forward_kl_with_stats(*_logits(chunk)))
        case Divergence.TOP_K:
            return _top_k(chunk, settings, control_ids)
        case Divergence.SAMPLED_TOKEN:
            return _sampled(chunk, settings)


def _weighed(
    chunk: Chunk,
    settings: DistilSettings,
    divergence_C: Tensor,
    stats: TokenStats,
    report: Mapping[str, Tensor] | None = None,
) -> TeacherTerm:
    """Weight a divergence by each token's importance ratio."""
    known_C = stats.student_CK[:, 0]
    weight = importance(known_C, chunk.sampler_log_probs_C, settings.importance)
    return TeacherTerm(
        loss_C=weight.ratio_N * divergence_C,
        report={**_report(stats, weight, chunk), **(report or {})},
        advantage_C=stats.teacher_CK[:, 0] - known_C,
        log_ratio_C=stats.teacher_CK[:, 0] - known_C,
        student_C=_of_token(chunk, stats),
        importance=weight,
    )


def _top_k(chunk: Chunk, settings: DistilSettings, control_ids: Sequence[int]) -> TeacherTerm:
    student_CV, teacher_CV, token_C1 = _logits(chunk)
    support = support_tokens(student_CV, teacher_CV, settings.top_k, control_ids)
    ids_CK, counted_CK = support.ids_CK, support.counted_CK
    # The same pass reads the sampled token, as an id before those of the support.
    stats = divergence_stats(student_CV, teacher_CV, torch.cat([token_C1, ids_CK], -1))
    teacher_CK = stats.teacher_CK[:, 1:]
    student_CK = log_probs_at(student_CV, ids_CK, stats.student_CK[:, 1:])
    report = {
        "overlap": support.overlap_C,
        "student_mass": mass(student_CK, counted_CK),
        "teacher_mass": mass(teacher_CK, counted_CK),
    }
    divergence_C = corrected_reverse_kl(student_CK, teacher_CK, counted_CK)
    return _weighed(chunk, settings, divergence_C, stats, report)


def _sampled(chunk: Chunk, settings: DistilSettings) -> TeacherTerm:
    """Return the policy gradient of MOPD (2606.30406) eq. 2 to 4."""
    clip = settings.advantage_clip
    stats = divergence_stats(*_logits(chunk))
    student_C, teacher_C = _of_token(chunk, stats), stats.teacher_CK[:, 0]
    weight = importance(student_C, chunk.sampler_log_probs_C, settings.importance)
    advantage_C = teacher_advantage(student_C, teacher_C, clip)
    clipped_C = (teacher_C - student_C.detach()).abs() > clip
    return TeacherTerm(
        loss_C=policy_gradient(student_C, advantage_C, weight.ratio_N),
        report={**_report(stats, weight, chunk), "clipped": clipped_C.float()},
        advantage_C=advantage_C,
        log_ratio_C=teacher_C - stats.student_CK[:, 0],
        student_C=student_C,
        importance=weight,
    )


def _logits(chunk: Chunk) -> tuple[Tensor, Tensor, Tensor]:
    return chunk.student_CV, chunk.teacher_CV, chunk.tokens_C[:, None]


def _of_token(chunk: Chunk, stats: TokenStats) -> Tensor:
    known_C1 = stats.student_CK[:, :1]
    return log_probs_at(chunk.student_CV, chunk.tokens_C[:, None], known_C1)[:, 0]


def _report(stats: TokenStats, weight: Importance, chunk: Chunk) -> dict[str, Tensor]:
    uniform = -math.log(chunk.teacher_CV.shape[-1])
    return {
        "kl": stats.kl_C,
        "entropy": stats.entropy_C,
        "from_uniform": (stats.teacher_CK[:, 0] - uniform).abs(),
        **weight.report(),
    }
