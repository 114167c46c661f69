"""MOPD as an objective of the on-policy loop: routing, the teacher's term, the outcome's term.

Shapes: N response tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from pydantic import JsonValue
from torch import Tensor
from transformers import PreTrainedModel

from tasks.model.log_probs import TokenBatch, chosen_hidden, head_logits, token_log_probs
from tasks.mopd.objectives import reverse_kl, teacher_advantage
from tasks.mopd.routing import Routing
from tasks.mopd.settings import DistilSettings, Divergence
from tasks.onpolicy.group_advantage import group_advantages
from tasks.onpolicy.microbatch import Microbatch, Scored
from tasks.onpolicy.objective import ChunkLoss, TokenLoss
from tasks.onpolicy.policy_gradient import importance, policy_gradient
from tasks.rollout.collect import Rollout

OUTCOME = "outcome"


class Teachers(Protocol):
    """Frozen teachers by name: a body that reads tokens, a head that tells what follows."""

    @property
    def names(self) -> list[str]:
        """The teachers that can be asked."""

    def expect(self, teachers: Sequence[str]) -> None:
        """Hear in which order teachers are about to be asked, so that the next can be fetched."""

    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the teacher's last hidden states [N, D] before the chosen tokens."""

    def logits(self, teacher: str, hidden_CD: Tensor) -> Tensor:
        """Return the teacher's logits [C, V] of some of its hidden states, in fp32."""


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

    def expect(self, teachers: Sequence[str]) -> None:
        """All teachers are there already."""

    @torch.no_grad()
    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the named teacher's hidden states [N, D]."""
        return chosen_hidden(self._models[teacher], tokens)

    @torch.no_grad()
    def logits(self, teacher: str, hidden_CD: Tensor) -> Tensor:
        """Return the named teacher's logits [C, V]."""
        return head_logits(self._models[teacher], hidden_CD, self._temperature)


class Distillation:
    """Hard-routed MOPD; with ``outcome_weight`` above 0, the sum with the outcome advantage."""

    def __init__(self, routing: Routing, teachers: Teachers, settings: DistilSettings) -> None:
        """Take the collaborators."""
        self._routing, self._teachers, self._settings = routing, teachers, settings

    @property
    def sources(self) -> list[str]:
        """Every teacher, and the outcome reward where it counts."""
        outcome = [OUTCOME] if self._settings.outcome_weight > 0 else []
        return [*self._teachers.names, *outcome]

    @property
    def extra_sources(self) -> int:
        """Sources that speak to a microbatch beside its teacher; each costs one more backward."""
        return 1 if self._settings.outcome_weight > 0 else 0

    def score(self, rollouts: Sequence[Rollout]) -> list[Scored]:
        """Route each rollout to its domain's teacher."""
        advantages = [0.0] * len(rollouts)
        if self._settings.outcome_weight > 0:
            advantages = group_advantages(rollouts)
        return [
            Scored(rollout, self._routing.teacher(rollout), advantage)
            for rollout, advantage in zip(rollouts, advantages, strict=True)
        ]

    def begin_step(self, updates: Sequence[Sequence[Microbatch]]) -> None:
        """Tell the teachers in which order they will be asked."""
        self._teachers.expect([batch.teacher for update in updates for batch in update])

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Let the microbatch's one teacher read it, and return the losses against it."""
        settings = self._settings
        hidden_ND = self._teachers.hidden(batch.teacher, batch.tokens)
        tokens_N = batch.tokens.tokens_N

        def losses(student_CV: Tensor, chunk: slice) -> TokenLoss:
            teacher_CV = self._teachers.logits(batch.teacher, hidden_ND[chunk])
            student_C = token_log_probs(student_CV, tokens_N[chunk])
            weight = importance(student_C, batch.sampler_log_probs_N[chunk], settings.importance)
            divergence_C = reverse_kl(student_CV, teacher_CV)
            report = {"kl": divergence_C.detach(), "dropped": 1.0 - weight.kept_N.float()}
            teacher_C = token_log_probs(teacher_CV, tokens_N[chunk])
            advantage_C = teacher_advantage(student_C, teacher_C, settings.advantage_clip)
            if settings.divergence is Divergence.FULL_VOCABULARY:
                loss_C = weight.ratio_N * divergence_C
            else:
                report["clipped"] = (advantage_C.abs() >= settings.advantage_clip).float()
                loss_C = policy_gradient(student_C, advantage_C, weight.ratio_N)
            by_source, advantages = {batch.teacher: loss_C}, {batch.teacher: advantage_C}
            if settings.outcome_weight > 0:
                outcome_C = settings.outcome_weight * batch.outcome_advantages_N[chunk]
                advantages[OUTCOME] = outcome_C
                by_source[OUTCOME] = policy_gradient(student_C, outcome_C, weight.ratio_N)
            return TokenLoss(by_source, report, advantages, teacher_CV)

        return losses

    def state(self) -> dict[str, JsonValue]:
        """Nothing is kept from step to step."""
        return {}

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Nothing is kept from step to step."""
