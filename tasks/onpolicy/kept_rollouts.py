"""The rollouts in a run's ledger, with the losses that they had in the run.

A ledger keeps a sample. Each kept rollout is weighted for the teacher's rollouts that were not
kept.

Shapes: C tokens of a chunk of a microbatch, N response tokens of it, V vocabulary.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import KeptRollout
from tasks.model.log_probs import token_log_probs
from tasks.model.settings import Precision
from tasks.onpolicy.microbatch import Microbatch, ScoredRollout
from tasks.onpolicy.objective import ChunkLoss, TokenLoss, UpdateLosses
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Grade, Prompt

OUTCOME = "outcome"


def recompute_settings(loop: LoopSettings) -> LoopSettings:
    """Return a run's settings, adapted for training again on its kept rollouts.

    A kept token brings the weight that it had, so it is not normalized again by its sequence.
    """
    changed = {"normalization": Normalization.TOKEN_MEAN, "precision": Precision.FP32}
    return loop.model_copy(update={**changed, "inner_updates": 1, "inner_epochs": 1})


class KeptRollouts:
    """The losses of a run on the rollouts in its ledger, with some teachers masked."""

    def __init__(
        self,
        objective: UpdateLosses,
        ledger: Ledger,
        masked: Sequence[str] = (),
        outcome_weight: float = 0.0,
    ) -> None:
        """Take the run's objective; ``outcome_weight`` is its weight of the reward.

        Raises:
            ValueError: if the ledger kept no rollouts, or does not know a masked teacher.
        """
        self._objective, self._masked = objective, frozenset(masked)
        self._steps = _scored(ledger, self._masked, outcome_weight)
        strangers = sorted(self._masked - set(ledger.manifest.sources))
        if strangers:
            raise RefusedError(
                "unknown-teacher",
                f"{strangers} are not sources of this ledger ({list(ledger.manifest.sources)}): "
                "correct their names",
            )
        if not self._steps:
            raise RefusedError(
                "no-kept-rollouts",
                f"the ledger in {ledger.folder} kept no rollouts, so nothing can be replayed: run "
                "the consolidation again with ledger.rollouts_per_teacher above 0",
            )

    @property
    def steps(self) -> list[int]:
        """The steps with kept rollouts, in order."""
        return sorted(self._steps)

    def scored(self, step: int) -> list[ScoredRollout]:
        """Return the kept rollouts of a step, once for each teacher that scored it.

        Each has the weight that it had in the run.
        """
        return self._steps[step]

    def begin_step(self, step: int, updates: Sequence[Sequence[Microbatch]]) -> None:
        """Announce the microbatches to the run's objective."""
        self._objective.begin_step(step, updates)

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Return the losses of the run's objective."""
        return self._objective.prepare(batch)

    def end_step(self, step: int) -> dict[str, float]:
        """Return nothing: the run itself checked its features and weighted its teachers."""
        return {}


class UncorrectedRollouts(KeptRollouts):
    """A run's kept rollouts, with each token treated as sampled by the learner itself.

    An importance correction drops tokens on which sampler and learner disagree. In a run, this
    guards against a sampler with faulty numerics. Here the learner is another student than the
    sampler, and they disagree on the tokens that a teacher's absence changes. Dropping these would
    drop the answer (docs/results/attribution.md has the figures).
    """

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Return the losses of the run's objective, where every importance ratio is 1."""
        sampler_N = batch.sampler_log_probs_N.clone()
        losses = super().prepare(replace(batch, sampler_log_probs_N=sampler_N))

        def own(student_CV: Tensor, chunk: slice) -> TokenLoss:
            sampler_N[chunk] = token_log_probs(student_CV.detach(), batch.tokens.tokens_N[chunk])
            return losses(student_CV, chunk)

        return own


def _scored(
    ledger: Ledger, masked: frozenset[str], outcome_weight: float
) -> dict[int, list[ScoredRollout]]:
    """Return the kept rollouts by step, weighted for the teacher's rollouts that were not kept."""
    tokens_of = {(row.step, row.source): row.tokens for row in ledger.rows()}
    entries: dict[tuple[int, str], list[KeptRollout]] = defaultdict(list)
    for entry in ledger.rollouts():
        entries[entry.step, entry.teacher].append(entry)
    steps: dict[int, list[ScoredRollout]] = defaultdict(list)
    for (step, teacher), own in entries.items():
        tokens = sum(len(entry.response) for entry in own)
        for entry in own:
            steps[step].append(
                ScoredRollout(
                    _rollout(entry),
                    teacher,
                    _outcome(entry, outcome_weight),
                    share=entry.weight * tokens_of[step, teacher] / tokens,
                    masked=teacher in masked,
                    teacher_prompt=entry.teacher_prompt,
                )
            )
    return dict(steps)


def _outcome(entry: KeptRollout, weight: float) -> float:
    """Return a rollout's advantage from its grade; the ledger holds it weighted, at each token."""
    advantages = entry.advantages.get(OUTCOME, ())
    return advantages[0] / weight if advantages and weight > 0 else 0.0


def _rollout(entry: KeptRollout) -> Rollout:
    log_probs = dict(zip(entry.response, entry.sampler_log_probs, strict=True))
    places = range(len(entry.ids))
    return Rollout(
        domain=entry.domain,
        prompt=Prompt(entry.prompt, ()),
        turns=(),
        grade=Grade(entry.score),
        ids=entry.ids,
        is_response=tuple(place in log_probs for place in places),
        sampler_log_probs=tuple(log_probs.get(place, 0.0) for place in places),
        truncated=False,
    )
