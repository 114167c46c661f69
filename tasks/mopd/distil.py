"""MOPD as an objective of the on-policy loop: routing, balance, and the sum of the terms.

Shapes: N response tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from pydantic import JsonValue
from torch import Tensor

from tasks.model.log_probs import token_log_probs
from tasks.mopd.balance import Balancer, Seen
from tasks.mopd.configured import configured
from tasks.mopd.objectives.delta import delta_target
from tasks.mopd.objectives.reference import ReferenceTerm, reference_term
from tasks.mopd.objectives.terms import Chunk, TeacherTerm, TeacherTerms
from tasks.mopd.routing import Routing
from tasks.mopd.settings import Balance, DistilSettings, Divergence
from tasks.mopd.voices import START, Teachers, precursor_of, voices
from tasks.mopd.watch import Watch
from tasks.onpolicy.group_advantage import group_advantages
from tasks.onpolicy.mechanisms import Mechanisms
from tasks.onpolicy.microbatch import Microbatch, Scored
from tasks.onpolicy.objective import ChunkLoss, TokenLoss
from tasks.onpolicy.policy_gradient import policy_gradient
from tasks.onpolicy.settings import LoopSettings
from tasks.ranks import sum_over_ranks
from tasks.rollout.collect import Rollout

OUTCOME = "outcome"
REFERENCE = "reference"


class Distillation:
    """Hard-routed MOPD; with weights above 0, the sum with outcome advantage and reference KL."""

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

        Raises:
            ValueError: for delta targets or masks of teachers that are not routed to, a teacher
                with the name of another source, or somebody who has to be asked and is not there.
        """
        _refuse_names(settings, routing.teachers, teachers.names)
        self._routing, self._teachers, self._settings = routing, teachers, settings
        self._terms = TeacherTerms(settings, control_ids)
        self._balancer = Balancer(settings.balance, loop.normalisation)
        self.mechanisms = Mechanisms(configured(settings, loop))
        self._watch = Watch(teachers, routing.teachers, recheck_every)
        self._seen: dict[str, Seen] = {}
        self._update_of: dict[int, int] = {}

    @property
    def sources(self) -> list[str]:
        """Every teacher, and outcome reward and reference where they count."""
        return [*self._routing.teachers, *self._others]

    @property
    def extra_sources(self) -> int:
        """Sources that speak to a microbatch beside its teacher; each costs one more backward."""
        return len(self._others)

    @property
    def _others(self) -> list[str]:
        weights = {OUTCOME: self._settings.outcome_weight}
        weights[REFERENCE] = self._settings.reference_weight
        return [source for source, weight in weights.items() if weight > 0]

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
        self._watch.begin_step(step)
        # A microbatch that is moved to a device is another object with the same items.
        self._update_of = {
            id(batch.items): place for place, update in enumerate(updates) for batch in update
        }
        asked = [
            [(voice, batch.tokens) for batch in update for voice in self._voices(batch)]
            for update in updates
        ]
        self._teachers.begin_step(step, asked)

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Let the microbatch's one teacher read it, and return the losses against it."""
        hidden = {v: self._teachers.hidden(v, batch.tokens) for v in self._voices(batch)}
        self._watch.recheck(batch.teacher, batch.tokens, hidden[batch.teacher])
        outcome_weight = self._settings.outcome_weight

        def losses(student_CV: Tensor, chunk: slice) -> TokenLoss:
            said = {v: self._teachers.logits(v, of_ND[chunk]) for v, of_ND in hidden.items()}
            self._watch.overlap(batch.teacher, student_CV, said[batch.teacher])
            told = self._told(batch, student_CV, said, chunk)
            term = self._terms(told)
            self._hear(batch, told, term)
            loss = {batch.teacher: term.loss_C}
            advantages, report = {batch.teacher: term.advantage_C}, dict(term.report)
            if batch.teacher in self._settings.delta_teachers:
                report |= self._learned(said[batch.teacher], told)
            if outcome_weight > 0:
                outcome_C = outcome_weight * batch.outcome_advantages_N[chunk]
                advantages[OUTCOME] = outcome_C
                ratio_C = term.importance.ratio_N
                loss[OUTCOME] = policy_gradient(term.student_C, outcome_C, ratio_C)
            if self._settings.reference_weight > 0:
                reference = self._reference(told, said[START], term)
                loss[REFERENCE], advantages[REFERENCE] = reference.loss_C, reference.advantage_C
                report["reference_kl"] = reference.kl_C
            return TokenLoss(loss, report, advantages, told.teacher_CV)

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
        return metrics | self._watch.end_step()

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

    def _voices(self, batch: Microbatch) -> list[str]:
        return voices(batch.teacher, self._settings)

    def _told(
        self, batch: Microbatch, student_CV: Tensor, said: Mapping[str, Tensor], chunk: slice
    ) -> Chunk:
        """Return a chunk with what is asked for in it: the teacher, or its delta on the start."""
        target_CV = said[batch.teacher]
        if batch.teacher in self._settings.delta_teachers:
            target_CV = delta_target(said[START], target_CV, said[precursor_of(batch.teacher)])
        sampler_C = batch.sampler_log_probs_N[chunk]
        return Chunk(student_CV, target_CV, batch.tokens.tokens_N[chunk], sampler_C)

    @torch.no_grad()
    def _learned(self, teacher_CV: Tensor, told: Chunk) -> dict[str, Tensor]:
        """Hear how far the delta target is from its teacher, whose own health is reported."""
        teacher_C = token_log_probs(teacher_CV, told.tokens_C)
        target_C = token_log_probs(told.teacher_CV, told.tokens_C)
        self.mechanisms.evaluated("delta", float((target_C - teacher_C).abs().mean()))
        return {"from_uniform": (teacher_C + math.log(teacher_CV.shape[-1])).abs()}

    def _reference(self, told: Chunk, start_CV: Tensor, term: TeacherTerm) -> ReferenceTerm:
        weight, ratio_C = self._settings.reference_weight, term.importance.ratio_N
        found = reference_term(told.student_CV, start_CV, told.tokens_C, ratio_C, weight)
        self.mechanisms.evaluated("reference", float(found.advantage_C.abs().mean()))
        return found

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


def _refuse_names(settings: DistilSettings, teachers: Sequence[str], loaded: Sequence[str]) -> None:
    absent = {v for teacher in teachers for v in voices(teacher, settings)} - set(loaded)
    if absent:
        raise ValueError(
            f"{sorted(absent)} will be asked and are not loaded (loaded: {sorted(loaded)}): load "
            "them by these names"
        )
    for name, chosen in (("masked", settings.masked), ("delta", settings.delta_teachers)):
        unknown = sorted(set(chosen) - set(teachers))
        if unknown:
            raise ValueError(
                f"{name} teachers {unknown} are none of this round's ({list(teachers)}): correct "
                "their names"
            )
    taken = sorted({OUTCOME, REFERENCE} & set(teachers))
    if taken:
        raise ValueError(
            f"the teacher {taken[0]!r} has the name of a source that is none: give its domain "
            "another name"
        )
