"""MOPD as an objective of the on-policy loop: routing, the teacher's term, the outcome's term.

Shapes: N response tokens, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tasks.model.log_probs import TokenBatch, chosen_logits, token_log_probs
from tasks.mopd.objectives import reverse_kl, teacher_advantage
from tasks.mopd.routing import Routing
from tasks.mopd.settings import DistilSettings, Divergence
from tasks.onpolicy.group_advantage import group_advantages
from tasks.onpolicy.microbatch import Microbatch, Scored
from tasks.onpolicy.objective import TokenLoss
from tasks.onpolicy.policy_gradient import importance, policy_gradient
from tasks.rollout.collect import Rollout


class Teachers(Protocol):
    """Answers with a named teacher's logits."""

    @property
    def names(self) -> list[str]:
        """The teachers that can be asked."""

    def logits(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the teacher's logits [N, V] at the chosen tokens, without gradient."""


class ResidentTeachers:
    """Frozen teachers that all stay in memory."""

    def __init__(self, models: Mapping[str, PreTrainedModel], temperature: float) -> None:
        """Freeze the models; logits are divided by the sampling ``temperature``."""
        self._temperature = temperature
        self._models = {
            name: model.eval().requires_grad_(requires_grad=False) for name, model in models.items()
        }

    @property
    def names(self) -> list[str]:
        """The teachers by name, sorted."""
        return sorted(self._models)

    @torch.no_grad()
    def logits(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the named teacher's logits [N, V]."""
        return chosen_logits(self._models[teacher], tokens, self._temperature)


class Distillation:
    """Hard-routed MOPD; with ``outcome_weight`` above 0, the sum with the outcome advantage."""

    def __init__(self, routing: Routing, teachers: Teachers, settings: DistilSettings) -> None:
        """Take the collaborators."""
        self._routing, self._teachers, self._settings = routing, teachers, settings

    def score(self, rollouts: Sequence[Rollout]) -> list[Scored]:
        """Route each rollout to its domain's teacher."""
        advantages = [0.0] * len(rollouts)
        if self._settings.outcome_weight > 0:
            advantages = group_advantages(rollouts)
        return [
            Scored(rollout, self._routing.teacher(rollout), advantage)
            for rollout, advantage in zip(rollouts, advantages, strict=True)
        ]

    def loss(self, batch: Microbatch, student_NV: Tensor) -> TokenLoss:
        """Return each token's loss against the microbatch's one teacher."""
        settings = self._settings
        teacher_NV = self._teachers.logits(batch.teacher, batch.tokens)
        tokens_N = batch.tokens.tokens_N
        student_N = token_log_probs(student_NV, tokens_N)
        weight = importance(student_N, batch.sampler_log_probs_N, settings.importance)
        divergence_N = reverse_kl(student_NV, teacher_NV)
        outcome_N = settings.outcome_weight * batch.outcome_advantages_N
        report = {"kl": divergence_N.detach(), "dropped": 1.0 - weight.kept_N.float()}
        if settings.divergence is Divergence.FULL_VOCABULARY:
            loss_N = weight.ratio_N * divergence_N
            if settings.outcome_weight > 0:
                loss_N = loss_N + policy_gradient(student_N, outcome_N, weight.ratio_N)
        else:
            teacher_N = token_log_probs(teacher_NV, tokens_N)
            advantage_N = teacher_advantage(student_N, teacher_N, settings.advantage_clip)
            report["clipped"] = (advantage_N.abs() >= settings.advantage_clip).float()
            loss_N = policy_gradient(student_N, advantage_N + outcome_N, weight.ratio_N)
        return TokenLoss(loss_N, report)
