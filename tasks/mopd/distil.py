"""MOPD as an objective of the on-policy loop: routing, the teacher's term, the outcome's term.

Shapes: N response tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from pydantic import JsonValue
from torch import Tensor
from transformers import PreTrainedModel

from tasks.model.log_probs import TokenBatch, chosen_hidden, head_logits
from tasks.mopd.objectives.terms import Chunk, TeacherTerms
from tasks.mopd.routing import Routing
from tasks.mopd.settings import DistilSettings
from tasks.onpolicy.group_advantage import group_advantages
from tasks.onpolicy.microbatch import Microbatch, Scored
from tasks.onpolicy.objective import ChunkLoss, TokenLoss
from tasks.onpolicy.policy_gradient import policy_gradient
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

    def __init__(
        self,
        routing: Routing,
        teachers: Teachers,
        settings: DistilSettings,
        control_ids: Sequence[int],
    ) -> None:
        """Take the collaborators; ``control_ids`` are in the support of any top-k form."""
        self._routing, self._teachers, self._settings = routing, teachers, settings
        self._terms = TeacherTerms(settings, control_ids)

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
        hidden_ND = self._teachers.hidden(batch.teacher, batch.tokens)
        tokens_N, outcome_weight = batch.tokens.tokens_N, self._settings.outcome_weight

        def losses(student_CV: Tensor, chunk: slice) -> TokenLoss:
            teacher_CV = self._teachers.logits(batch.teacher, hidden_ND[chunk])
            told = Chunk(student_CV, teacher_CV, tokens_N[chunk], batch.sampler_log_probs_N[chunk])
            term = self._terms(told)
            by_source, advantages = {batch.teacher: term.loss_C}, {batch.teacher: term.advantage_C}
            if outcome_weight > 0:
                outcome_C = outcome_weight * batch.outcome_advantages_N[chunk]
                advantages[OUTCOME] = outcome_C
                ratio_C = term.importance.ratio_N
                by_source[OUTCOME] = policy_gradient(term.student_C, outcome_C, ratio_C)
            return TokenLoss(by_source, term.report, advantages, teacher_CV)

        return losses

    def state(self) -> dict[str, JsonValue]:
        """Nothing is kept from step to step."""
        return {}

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Nothing is kept from step to step."""
