"""MOPD as an objective of the on-policy loop: routing, balance, the teacher's term, the outcome's.

Shapes: N response tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from pydantic import JsonValue
from torch import Tensor

from tasks.model.log_probs import TokenBatch
from tasks.mopd.balance import Balancer, Seen
from tasks.mopd.configured import configured
from tasks.mopd.objectives.terms import Chunk, TeacherTerm, TeacherTerms
from tasks.mopd.routing import Routing
from tasks.mopd.settings import Balance, DistilSettings, Divergence
from tasks.onpolicy.group_advantage import group_advantages
from tasks.onpolicy.mechanisms import Mechanisms
from tasks.onpolicy.microbatch import Microbatch, Scored
from tasks.onpolicy.objective import ChunkLoss, TokenLoss
from tasks.onpolicy.policy_gradient import policy_gradient
from tasks.onpolicy.settings import LoopSettings
from tasks.ranks import sum_over_ranks
from tasks.rollout.collect import Rollout

OUTCOME = "outcome"
_RECHECKED_TOKENS = 64


class Teachers(Protocol):
    """Frozen teachers by name: a body that reads tokens, a head that tells what follows."""

    @property
    def names(self) -> list[str]:
        """The teachers that can be asked."""

    def begin_step(self, step: int, updates: Sequence[Sequence[Microbatch]]) -> None:
        """Hear what will be asked in a step and in which order, to fetch or score it ahead."""

    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the teacher's last hidden states [N, D] before the chosen tokens."""

    def again(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the same, computed anew and not remembered."""

    def logits(self, teacher: str, hidden_CD: Tensor) -> Tensor:
        """Return the teacher's logits [C, V] of some of its hidden states, in fp32."""


class Distillation:
    """Hard-routed MOPD; with ``outcome_weight`` above 0, the sum with the outcome advantage."""

    def __init__(
        self,
        routing: Routing,
        teachers: Teachers,
        settings: DistilSettings,
        loop: LoopSettings,
        control_ids: Sequence[int],
        recheck_every: int = 50,
    ) -> None:
        """Take the collaborators.

        ``control_ids`` are in the support of any top-k form. Every ``recheck_every`` steps each
        teacher scores some tokens twice, to see that it gives one answer.
        """
        self._routing, self._teachers, self._settings = routing, teachers, settings
        self._terms = TeacherTerms(settings, control_ids)
        self._balancer = Balancer(settings.balance, loop.normalisation)
        self.mechanisms = Mechanisms(configured(settings, loop))
        self._recheck_every = recheck_every
        self._seen: dict[str, Seen] = {}
        self._to_recheck: set[str] = set()
        self._unsteady: dict[str, float] = {}
        self._update_of: dict[int, int] = {}

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
        """Give each rollout to the teachers of its domain and mode, weighed by the balance."""
        advantages = [0.0] * len(rollouts)
        if self._settings.outcome_weight > 0:
            advantages = group_advantages(rollouts)
            spoke = sum(advantage != 0.0 for advantage in advantages)
            self.mechanisms.evaluated("outcome", spoke / max(1, len(rollouts)))
        routed = [
            Scored(rollout, route.teacher, advantage, route.share)
            for rollout, advantage in zip(rollouts, advantages, strict=True)
            for route in self._routing.routes(rollout)
        ]
        weights = self._weights(routed)
        return [self._weighed(item, weights) for item in routed]

    def _weights(self, scored: Sequence[Scored]) -> dict[str, float]:
        weights = self._balancer.weights(scored)
        if self._settings.balance.rule is not Balance.NONE:
            mean = sum(weights.values()) / len(weights)
            moved = max(abs(weight / mean - 1) for weight in weights.values())
            self.mechanisms.evaluated("balance", moved)
        return weights

    def _weighed(self, item: Scored, weights: Mapping[str, float]) -> Scored:
        return Scored(
            item.rollout,
            item.teacher,
            item.outcome_advantage,
            item.share,
            weights[item.teacher],
            masked=item.teacher in self._settings.masked,
        )

    def begin_step(self, step: int, updates: Sequence[Sequence[Microbatch]]) -> None:
        """Tell the teachers in which order they will be asked."""
        self._seen = defaultdict(Seen)
        self._unsteady = {}
        due = step % self._recheck_every == 1 or self._recheck_every == 1
        self._to_recheck = set(self._teachers.names) if due else set()
        # A microbatch that is moved to a device is another object with the same items.
        self._update_of = {
            id(batch.items): place for place, update in enumerate(updates) for batch in update
        }
        self._teachers.begin_step(step, updates)

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Let the microbatch's one teacher read it, and return the losses against it."""
        hidden_ND = self._teachers.hidden(batch.teacher, batch.tokens)
        self._recheck(batch, hidden_ND)
        tokens_N, outcome_weight = batch.tokens.tokens_N, self._settings.outcome_weight

        def losses(student_CV: Tensor, chunk: slice) -> TokenLoss:
            teacher_CV = self._teachers.logits(batch.teacher, hidden_ND[chunk])
            told = Chunk(student_CV, teacher_CV, tokens_N[chunk], batch.sampler_log_probs_N[chunk])
            term = self._terms(told)
            self._hear(batch, told, term)
            by_source, advantages = {batch.teacher: term.loss_C}, {batch.teacher: term.advantage_C}
            if outcome_weight > 0:
                outcome_C = outcome_weight * batch.outcome_advantages_N[chunk]
                advantages[OUTCOME] = outcome_C
                ratio_C = term.importance.ratio_N
                by_source[OUTCOME] = policy_gradient(term.student_C, outcome_C, ratio_C)
            return TokenLoss(by_source, term.report, advantages, teacher_CV)

        return losses

    def end_step(self, step: int) -> dict[str, float]:
        """Return what became of the mechanisms, and how steady the teachers' answers were.

        Collective. Raises MechanismError for one that was configured and did not do its work.
        """
        sums = sum_over_ranks(
            {
                f"{teacher}\n{name}": value
                for teacher, seen in self._seen.items()
                for name, value in vars(seen).items()
            }
        )
        over_ranks: dict[str, Seen] = defaultdict(Seen)
        for key, value in sums.items():
            teacher, _, name = key.partition("\n")
            setattr(over_ranks[teacher], name, value)
        self._balancer.saw(over_ranks)
        tokens = sum(seen.tokens for seen in over_ranks.values())
        metrics = self.mechanisms.end_step(step)
        for teacher, seen in over_ranks.items():
            metrics[f"token_share/{teacher}"] = seen.tokens / tokens
            metrics[f"advantage_deviation/{teacher}"] = seen.deviation
        return metrics | {f"unsteady/{teacher}": nats for teacher, nats in self._unsteady.items()}

    def state(self) -> dict[str, JsonValue]:
        """Return the running means of the balance, and what became of the mechanisms."""
        return {"balance": self._balancer.state(), "mechanisms": self.mechanisms.state()}

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from a ``state``."""
        balance, mechanisms = state["balance"], state["mechanisms"]
        assert isinstance(balance, dict)
        assert isinstance(mechanisms, dict)
        self._balancer.load_state(balance)
        self.mechanisms.load_state(mechanisms)

    def _hear(self, batch: Microbatch, chunk: Chunk, term: TeacherTerm) -> None:
        """Keep what the balance and the proof of the mechanisms rest on."""
        self._seen[batch.teacher].add(term.log_ratio_C)
        heard = self.mechanisms.evaluated
        heard("importance", float((term.importance.ratio_N - 1).abs().mean()))
        if self._settings.divergence is Divergence.SAMPLED_TOKEN:
            heard("advantage_clip", float(term.report["clipped"].mean()))
        if self._settings.divergence is Divergence.TOP_K:
            gap_C = term.report["teacher_mass"] - term.report["student_mass"]
            heard("top_k_correction", float(gap_C.abs().mean()))
        if "refresh" in self.mechanisms.names and self._update_of[id(batch.items)] > 0:
            moved_C = term.student_C.detach() - chunk.sampler_log_probs_C
            heard("refresh", float(moved_C.abs().mean()))

    @torch.no_grad()
    def _recheck(self, batch: Microbatch, hidden_ND: Tensor) -> None:
        """Ask a teacher a second time about the first tokens of its first microbatch."""
        if batch.teacher not in self._to_recheck:
            return
        self._to_recheck.discard(batch.teacher)
        some = slice(0, _RECHECKED_TOKENS)
        again_CD = self._teachers.again(batch.teacher, batch.tokens)[some]
        first, second = (
            torch.log_softmax(self._teachers.logits(batch.teacher, states_CD), -1)
            for states_CD in (hidden_ND[some], again_CD)
        )
        self._unsteady[batch.teacher] = float((first - second).abs().max())
