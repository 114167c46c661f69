"""The loss of MOPD at each token: teacher, outcome reward and reference, side by side.

    loss_t = w_t D(student_t, target_t)                  the teacher of the rollout's domain
           - outcome_weight w_t A log p_t                the outcome reward of the rollout
           + reference_weight w_t KL(student_t, start_t)   the model that the round began with

w is the importance ratio p_student / p_sampler inside its window, D the divergence that the
settings choose, A the group advantage. ``token_loss`` is a pure function. It reports the activity
of the configured mechanisms as tensors, so that the host never waits for an accelerator.

Shapes: C tokens of a chunk, V vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.model.log_probs import token_log_probs
from tasks.mopd.losses.anchored import delta_target, reference_term
from tasks.mopd.losses.teacher_term import Chunk, TeacherTerm, teacher_term
from tasks.mopd.settings import DistilSettings, Divergence
from tasks.onpolicy.objective import TokenLoss
from tasks.onpolicy.policy_gradient import policy_gradient

OUTCOME = "outcome"
REFERENCE = "reference"


@dataclass(frozen=True)
class RoutedChunk:
    """Some response tokens of one teacher's rollouts, with the logits of all scoring models."""

    teacher: str
    student_CV: Tensor
    teacher_CV: Tensor
    precursor_CV: Tensor | None
    """Logits of the teacher's precursor, if the teacher's delta is distilled."""
    start_CV: Tensor | None
    """Logits of the round's initial model, for a delta or the reference."""
    tokens_C: Tensor
    sampler_log_probs_C: Tensor
    outcome_advantages_C: Tensor
    update_index: int
    """Index of the inner update that it belongs to."""


@dataclass(frozen=True, kw_only=True)
class DistilLoss(TokenLoss):
    """A chunk's losses, with the inputs of the teacher weighting and of the feature checks."""

    log_ratio_C: Tensor
    """log p_target - log p_student of each sampled token, never clipped."""
    activity: dict[str, Tensor]
    """Mechanism to its activity in this chunk, a scalar; 0 means that it had no effect."""


def token_loss(
    chunk: RoutedChunk, settings: DistilSettings, control_ids: Sequence[int]
) -> DistilLoss:
    """Return the losses of a chunk's tokens; ``control_ids`` are in the support of any top-k form.

    Raises:
        ValueError: for an infinite delta, or a support outside the vocabulary.
    """
    is_delta = chunk.teacher in settings.delta_teachers
    target_CV = _delta_target(chunk) if is_delta else chunk.teacher_CV
    scored = Chunk(chunk.student_CV, target_CV, chunk.tokens_C, chunk.sampler_log_probs_C)
    term = teacher_term(scored, settings, control_ids)
    ratio_C = term.importance.ratio_N
    losses, advantages = {chunk.teacher: term.loss_C}, {chunk.teacher: term.advantage_C}
    report = dict(term.report)
    activity = _activity(chunk, term, settings)
    if is_delta:
        distance_C, report["from_uniform"] = _of_delta(chunk, target_CV)
        activity["delta"] = distance_C.mean()
    if settings.outcome_weight > 0:
        advantages[OUTCOME] = settings.outcome_weight * chunk.outcome_advantages_C
        losses[OUTCOME] = policy_gradient(term.student_C, advantages[OUTCOME], ratio_C)
    if settings.reference_weight > 0:
        assert chunk.start_CV is not None
        reference = reference_term(
            chunk.student_CV, chunk.start_CV, chunk.tokens_C, ratio_C, settings.reference_weight
        )
        losses[REFERENCE], advantages[REFERENCE] = reference.loss_C, reference.advantage_C
        report["reference_kl"] = reference.kl_C
        activity["reference"] = reference.advantage_C.abs().mean()
    return DistilLoss(
        by_source=losses,
        report=report,
        advantages=advantages,
        target_CV=target_CV,
        log_ratio_C=term.log_ratio_C,
        activity=activity,
    )


def _delta_target(chunk: RoutedChunk) -> Tensor:
    assert chunk.start_CV is not None
    assert chunk.precursor_CV is not None
    return delta_target(chunk.start_CV, chunk.teacher_CV, chunk.precursor_CV)


@torch.no_grad()
def _of_delta(chunk: RoutedChunk, target_CV: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance of a delta target from its teacher, and of the teacher from uniform.

    Both are in nats at the sampled token [C]. The health check looks at the teacher itself, not at
    its target.
    """
    teacher_C = token_log_probs(chunk.teacher_CV, chunk.tokens_C)
    target_C = token_log_probs(target_CV, chunk.tokens_C)
    uniform = -math.log(chunk.teacher_CV.shape[-1])
    return (target_C - teacher_C).abs(), (teacher_C - uniform).abs()


def _activity(chunk: RoutedChunk, term: TeacherTerm, settings: DistilSettings) -> dict[str, Tensor]:
    """Return the activity of each mechanism in the teacher's own term."""
    activity = {"importance": (term.importance.ratio_N - 1).abs().mean()}
    if settings.divergence is Divergence.SAMPLED_TOKEN:
        activity["advantage_clip"] = term.report["clipped"].mean()
    if settings.divergence is Divergence.TOP_K:
        gap_C = term.report["teacher_mass"] - term.report["student_mass"]
        activity["top_k_correction"] = gap_C.abs().mean()
    if chunk.update_index > 0:
        moved_C = term.student_C.detach() - chunk.sampler_log_probs_C
        activity["refresh"] = moved_C.abs().mean()
    return activity
