"""The loss of MOPD at each token: teacher, outcome reward and reference, side by side.

    loss_t = w_t D(student_t, target_t)                  the teacher of the rollout's domain
           - outcome_weight w_t A log p_t                the outcome reward of the rollout
           + reference_weight w_t KL(student_t, start_t)   the model that the round began with

w is the importance ratio p_student / p_sampler inside its window, D the divergence that the
settings choose, A the group advantage. ``token_loss`` is a pure function; what it reports of the
configured mechanisms are tensors, so that nothing waits for an accelerator.

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
    """Some response tokens of one teacher's rollouts, with the logits of all who score them."""

    teacher: str
    student_CV: Tensor
    teacher_CV: Tensor
    precursor_CV: Tensor | None
    """The logits of what the teacher was trained from, where its delta is distilled."""
    start_CV: Tensor | None
    """The logits of the model that the round began with, for a delta or the reference."""
    tokens_C: Tensor
    sampler_log_probs_C: Tensor
    outcome_advantages_C: Tensor
    update_index: int
    """Which of the step's inner updates it belongs to."""


@dataclass(frozen=True, kw_only=True)
class DistilLoss(TokenLoss):
    """A chunk's losses, with what the teacher weighting and the checks of the mechanisms need."""

    log_ratio_C: Tensor
    """log p_target - log p_student of each sampled token, never clipped."""
    activity: dict[str, Tensor]
    """Mechanism to how much it bound in this chunk, a scalar: 0 for not at all."""


def token_loss(
    chunk: RoutedChunk, settings: DistilSettings, control_ids: Sequence[int]
) -> DistilLoss:
    """Return the losses of a chunk's tokens; ``control_ids`` are in the support of any top-k form.

    Raises:
        ValueError: for a delta that is infinite, or a support that the vocabulary does not have.
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
    """Return how far a delta target is from its teacher, and how far that one is from uniform.

    Both are in nats at the sampled token [C]. The health of a teacher is its own, not its target's.
    """
    teacher_C = token_log_probs(chunk.teacher_CV, chunk.tokens_C)
    target_C = token_log_probs(target_CV, chunk.tokens_C)
    uniform = -math.log(chunk.teacher_CV.shape[-1])
    return (target_C - teacher_C).abs(), (teacher_C - uniform).abs()


def _activity(chunk: RoutedChunk, term: TeacherTerm, settings: DistilSettings) -> dict[str, Tensor]:
    """Return how much each mechanism of the teacher's own term bound."""
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
