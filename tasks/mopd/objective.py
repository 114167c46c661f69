"""MOPD as an objective of the on-policy loop: routing, balance, and the sum of the terms.

Shapes: N response tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from pydantic import JsonValue
from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.model.log_probs import TokenBatch
from tasks.mopd.losses.token_loss import OUTCOME, REFERENCE, RoutedChunk, token_loss
from tasks.mopd.round_models import INITIAL_STUDENT, FrozenModels, precursor_name, scoring_models
from tasks.mopd.routing import Routing
from tasks.mopd.settings import Balance, DistilSettings, Divergence
from tasks.mopd.teacher_monitor import TeacherMonitor
from tasks.mopd.weighting import TeacherWeighting
from tasks.onpolicy.feature_checks import FeatureCheck, FeatureChecks
from tasks.onpolicy.microbatch import Microbatch, ScoredRollout
from tasks.onpolicy.objective import ChunkLoss, TokenLoss
from tasks.onpolicy.policy_gradient import group_advantages
from tasks.onpolicy.settings import LoopSettings
from tasks.onpolicy.step_metrics import MomentSums
from tasks.rollout.collect import Rollout


class Distillation:
    """Hard-routed MOPD, plus outcome advantage and reference KL if their weights are above 0."""

    def __init__(
        self,
        routing: Routing,
        teachers: FrozenModels,
        settings: DistilSettings,
        loop: LoopSettings,
        control_ids: Sequence[int],
        recheck_every: int = 50,
    ) -> None:
        """Take the collaborators.

        ``control_ids`` are in the support of any top-k form. Every ``recheck_every`` steps each
        teacher scores some tokens twice, to check that its answers agree.

        Raises:
            ValueError: for delta targets or masks of teachers without a route, a teacher with a
                reserved name, or a model that the objective needs and that is not loaded.
        """
        _check_names(settings, routing.teachers, teachers.names)
        self._routing, self._teachers, self._settings = routing, teachers, settings
        self._control_ids = tuple(control_ids)
        self._weighting = TeacherWeighting(settings.balance, loop.normalization)
        self.feature_checks = FeatureChecks(feature_checks_of(settings, loop))
        self._monitor = TeacherMonitor(teachers, routing.teachers, recheck_every)
        self._log_ratios = MomentSums()

    @property
    def sources(self) -> list[str]:
        """Every teacher, and outcome reward and reference if their weights are above 0."""
        return [*self._routing.teachers, *self._others]

    @property
    def extra_sources(self) -> int:
        """Sources beside a microbatch's teacher; each costs one more backward pass."""
        return len(self._others)

    @property
    def _others(self) -> list[str]:
        weights = {OUTCOME: self._settings.outcome_weight}
        weights[REFERENCE] = self._settings.reference_weight
        return [source for source, weight in weights.items() if weight > 0]

    def score(self, rollouts: Sequence[Rollout]) -> list[ScoredRollout]:
        """Assign each rollout to the teachers of its domain and mode, weighted by the balance."""
        advantages = [0.0] * len(rollouts)
        if self._settings.outcome_weight > 0:
            advantages = group_advantages(rollouts)
            spoke = sum(advantage != 0.0 for advantage in advantages)
            self.feature_checks.record("outcome", spoke / max(1, len(rollouts)))
        routed = [
            ScoredRollout(
                rollout,
                route.teacher,
                advantage,
                route.share,
                teacher_prompt=self._routing.teacher_prompt(route, rollout),
            )
            for rollout, advantage in zip(rollouts, advantages, strict=True)
            for route in self._routing.routes(rollout)
        ]
        weights = self._weights(routed)
        return [self._weighed(item, weights) for item in routed]

    def _weights(self, scored: Sequence[ScoredRollout]) -> dict[str, float]:
        weights = self._weighting.weights(scored)
        if self._settings.balance.rule is not Balance.NONE:
            mean = sum(weights.values()) / len(weights)
            moved = max(abs(weight / mean - 1) for weight in weights.values())
            self.feature_checks.record("balance", moved)
        return weights

    def _weighed(self, item: ScoredRollout, weights: Mapping[str, float]) -> ScoredRollout:
        masked = item.teacher in self._settings.masked
        return replace(item, weight=weights[item.teacher], masked=masked)

    def begin_step(self, step: int, updates: Sequence[Sequence[Microbatch]]) -> None:
        """Announce to the teachers which microbatches they will score, in order."""
        self._log_ratios = MomentSums()
        self._monitor.begin_step(step)
        requests = [
            [(m, _read_by(m, batch)) for batch in update for m in self._models(batch)]
            for update in updates
        ]
        read = [(batch.teacher, batch.teacher_tokens) for batch in chain(*updates)]
        self._teachers.begin_step(step, requests, self._monitor.to_rescore(read))

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Run the bodies of the models that score a microbatch; return its loss per chunk."""
        hidden_ND = {m: self._teachers.hidden(m, _read_by(m, batch)) for m in self._models(batch)}
        self._monitor.recheck(batch.teacher, batch.teacher_tokens, hidden_ND[batch.teacher])

        def losses(student_CV: Tensor, chunk: slice) -> TokenLoss:
            routed = self._routed(batch, student_CV, hidden_ND, chunk)
            self._monitor.overlap(batch.teacher, student_CV, routed.teacher_CV)
            loss = token_loss(routed, self._settings, self._control_ids)
            self._log_ratios.add(batch.teacher, loss.log_ratio_C)
            for feature, bound in loss.activity.items():
                self.feature_checks.record(feature, bound)
            return loss

        return losses

    def _routed(
        self, batch: Microbatch, student_CV: Tensor, hidden_ND: Mapping[str, Tensor], chunk: slice
    ) -> RoutedChunk:
        """Return a chunk with the logits of all models that score it."""
        logits_CV = {m: self._teachers.logits(m, of_ND[chunk]) for m, of_ND in hidden_ND.items()}
        return RoutedChunk(
            teacher=batch.teacher,
            student_CV=student_CV,
            teacher_CV=logits_CV[batch.teacher],
            precursor_CV=logits_CV.get(precursor_name(batch.teacher)),
            start_CV=logits_CV.get(INITIAL_STUDENT),
            tokens_C=batch.tokens.tokens_N[chunk],
            sampler_log_probs_C=batch.sampler_log_probs_N[chunk],
            outcome_advantages_C=batch.outcome_advantages_N[chunk],
            update_index=batch.update_index,
        )

    def end_step(self, step: int) -> dict[str, float]:
        """Return the activity of the features, and how well the teachers' repeated answers agree.

        Collective. Raises MechanismError for a configured feature that had no effect.
        """
        moments = self._log_ratios.moments()
        self._weighting.end_step(moments)
        tokens = sum(of_teacher.tokens for of_teacher in moments.values())
        metrics = self.feature_checks.end_step(step)
        for teacher, of_teacher in moments.items():
            metrics[f"token_share/{teacher}"] = of_teacher.tokens / tokens
            metrics[f"advantage_deviation/{teacher}"] = of_teacher.variance**0.5
        return metrics | self._monitor.end_step()

    def state(self) -> dict[str, JsonValue]:
        """Return the running means of the balance, and the activity of the features."""
        return {"balance": self._weighting.state(), "mechanisms": self.feature_checks.state()}

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from a ``state``."""
        balance, feature_checks = state["balance"], state["mechanisms"]
        assert isinstance(balance, dict)
        assert isinstance(feature_checks, dict)
        self._weighting.load_state(balance)
        self.feature_checks.load_state(feature_checks)

    def _models(self, batch: Microbatch) -> list[str]:
        return scoring_models(batch.teacher, self._settings)


def _read_by(model: str, batch: Microbatch) -> TokenBatch:
    """Return a microbatch's rows as a model reads them: only the teacher sees its system prompt.

    A precursor does not: so a delta holds what the system prompt does to the teacher, too.
    """
    return batch.teacher_tokens if model == batch.teacher else batch.tokens


def _check_names(settings: DistilSettings, teachers: Sequence[str], loaded: Sequence[str]) -> None:
    absent = {v for teacher in teachers for v in scoring_models(teacher, settings)} - set(loaded)
    if absent:
        raise RefusedError(
            "model-not-loaded",
            f"the objective needs the models {sorted(absent)}, which are not loaded (loaded: "
            f"{sorted(loaded)}): load them by these names",
        )
    for name, chosen in (("masked", settings.masked), ("delta", settings.delta_teachers)):
        unknown = sorted(set(chosen) - set(teachers))
        if unknown:
            raise RefusedError(
                "unknown-teacher",
                f"{name} teachers {unknown} are not in this round, which has {list(teachers)}: "
                "correct the names",
            )
    reserved = sorted({OUTCOME, REFERENCE} & set(teachers))
    if reserved:
        raise RefusedError(
            "reserved-name",
            f"{reserved[0]!r} is a reserved name of a source, so a teacher cannot have it: give "
            "its domain another name",
        )


def feature_checks_of(settings: DistilSettings, loop: LoopSettings) -> Iterator[FeatureCheck]:
    """Yield a check for every feature that the settings turn on."""
    yield from _checks_of_the_loss(settings)
    yield from _checks_of_updates(settings, loop)


def _checks_of_the_loss(settings: DistilSettings) -> Iterator[FeatureCheck]:
    yield FeatureCheck(
        "importance",
        must_bind=False,
        where="tasks.mopd.losses",
        remedy="The importance correction is part of every run: report this as a bug",
    )
    if settings.divergence is Divergence.SAMPLED_TOKEN:
        yield FeatureCheck(
            "advantage_clip",
            must_bind=False,
            where="tasks.mopd.losses",
            remedy=(
                "The advantage clip is part of the sampled-token divergence: report this as a bug"
            ),
        )
    if settings.divergence is Divergence.TOP_K:
        yield FeatureCheck(
            "top_k_correction",
            must_bind=True,
            where="tasks.mopd.losses.top_k",
            remedy="Lower top_k.k, so that something is cut off, or choose full_vocabulary",
        )
    if settings.balance.rule is not Balance.NONE:
        yield FeatureCheck(
            "balance",
            must_bind=True,
            where="tasks.mopd.weighting",
            remedy="Choose another balance, or none if the teachers are already even",
        )


def _checks_of_updates(settings: DistilSettings, loop: LoopSettings) -> Iterator[FeatureCheck]:
    if loop.updates_per_step > 1:
        yield FeatureCheck(
            "refresh",
            must_bind=True,
            where="tasks.mopd.objective",
            remedy="Set inner_updates to 1, or raise the learning rate: the weights did not move "
            "between the updates of a step",
        )
    if settings.outcome_weight > 0:
        yield FeatureCheck(
            "outcome",
            must_bind=True,
            where="tasks.onpolicy.policy_gradient",
            remedy="All rollouts of each group got the same grade: use harder or easier prompts, "
            "raise rollouts_per_prompt, or set outcome_weight to 0",
        )
    if set(settings.delta_teachers) - set(settings.masked):
        yield FeatureCheck(
            "delta",
            must_bind=True,
            where="tasks.mopd.objective",
            remedy="The student's start is the teacher's precursor, so the target is the teacher "
            "itself: leave delta_teachers empty",
        )
    if settings.reference_weight > 0:
        yield FeatureCheck(
            "reference",
            must_bind=True,
            where="tasks.mopd.objective",
            remedy="The student does not move away from its start: raise the learning rate, or set "
            "reference_weight to 0",
        )
