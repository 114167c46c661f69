"""Record a run's ledger: each source's advantages and gradients by step, and their effect.

Shapes: C tokens of a chunk of a microbatch, L probed tokens of one rollout, V vocabulary.
"""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from tasks.ledger.schema import KeptRollout, SourceRow
from tasks.ledger.source_gradients import SourceGradient, UpdateReport
from tasks.ledger.writer import LedgerWriter
from tasks.onpolicy.distributed.lockstep import ProbedRollout
from tasks.onpolicy.microbatch import Microbatch, ScoredRollout
from tasks.onpolicy.objective import TokenLoss
from tasks.onpolicy.step_metrics import MomentSums, TokenMoments
from tasks.platform.ranks import exchange

_PROBED_TOKENS = 64
"""Number of tokens per teacher with logits kept until the step ends, to measure its effect."""


class _RankStep(BaseModel):
    """What one rank has measured and kept in a step."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    before: dict[str, float]
    """KL to a teacher before the step's updates, on the rollout that is probed again."""
    after: dict[str, float]
    kept: dict[int, KeptRollout]
    """The kept rollouts by their index in the sample."""


@dataclass
class _SampledRollout:
    """A rollout of the sample, with the tokens that were processed so far."""

    item: ScoredRollout
    probed: bool
    response: list[Tensor] = field(default_factory=list)
    """Tensors of each chunk's tokens; they are read when the step ends."""
    weights: list[Tensor] = field(default_factory=list)
    sampler: list[Tensor] = field(default_factory=list)
    advantages: dict[str, list[Tensor]] = field(default_factory=lambda: defaultdict(list))
    targets: list[Tensor] = field(default_factory=list)
    before: list[Tensor] = field(default_factory=list)

    def entry(self, step: int) -> KeptRollout:
        rollout = self.item.rollout
        return KeptRollout(
            step=step,
            teacher=self.item.teacher,
            domain=rollout.domain,
            prompt=rollout.prompt.id,
            score=rollout.grade.score,
            ids=rollout.ids,
            response=tuple(torch.cat(self.response).tolist()),
            weight=float(self.weights[0][0]),  # each token of a rollout has the same
            sampler_log_probs=tuple(torch.cat(self.sampler).tolist()),
            advantages={
                source: tuple(torch.cat(parts).tolist())
                for source, parts in self.advantages.items()
            },
            teacher_prompt=self.item.teacher_prompt,
            staleness=rollout.staleness,
        )


class LedgerRecorder:
    """Receives every chunk and update of a learner, and writes each step to the ledger."""

    def __init__(self, writer: LedgerWriter, seed: int, last_step: int) -> None:
        """Write to ``writer``; ``seed`` selects the kept rollouts."""
        self._writer, self._seed, self._last_step = writer, seed, last_step
        self._step = 0
        self._advantages = MomentSums()
        self._gradients: dict[str, list[SourceGradient]] = {}
        self._sample: list[_SampledRollout] = []

    def begin_step(self, step: int, scored: Sequence[ScoredRollout]) -> None:
        """Select the step's rollouts to keep."""
        self._step = step
        self._advantages = MomentSums()
        self._gradients = defaultdict(list)
        count = self._writer.settings.rollouts_per_teacher
        by_teacher: dict[str, list[ScoredRollout]] = defaultdict(list)
        for item in scored:
            if item.rollout.num_response_tokens:
                by_teacher[item.teacher].append(item)
        self._sample = []
        for teacher, items in sorted(by_teacher.items()):
            draw = random.Random(f"{self._seed} {step} {teacher}")
            chosen = draw.sample(items, min(count, len(items)))
            self._sample += [_SampledRollout(item, place == 0) for place, item in enumerate(chosen)]

    def add_chunk(
        self, batch: Microbatch, chunk: slice, student_CV: Tensor, loss: TokenLoss
    ) -> None:
        """Add each source's advantages of a chunk's tokens, and keep those of the sample."""
        for source, advantages_C in loss.advantages.items():
            self._advantages.add(source, advantages_C)
        for kept in self._sample:
            for item, tokens in _tokens_of_rows(batch):
                first, end = max(tokens.start, chunk.start), min(tokens.stop, chunk.stop)
                if item is kept.item and first < end:
                    inside = slice(first - chunk.start, end - chunk.start)
                    _keep_tokens(kept, batch, slice(first, end), inside, loss)
                    if kept.probed and loss.target_CV is not None:
                        room = _PROBED_TOKENS - sum(map(len, kept.targets))
                        probed = slice(inside.start, min(inside.stop, inside.start + room))
                        kept.targets.append(loss.target_CV[probed].detach().clone())
                        kept.before.append(student_CV[probed].detach().clone())

    def add_update(self, report: UpdateReport) -> None:
        """Add an update's gradient by source."""
        for source, part in report.sources.items():
            self._gradients[source].append(part)

    def end_step(self, logits: Callable[[Sequence[ProbedRollout]], list[Tensor]]) -> None:
        """Measure the KL on a rollout of each teacher again, and write the step. Collective.

        ``logits`` returns the student's logits [L, V] of this rank's probes at the current weights.
        All ranks call it at once.
        """
        own = self._rank_step(logits).model_dump_json()
        ranks = [_RankStep.model_validate_json(seen) for seen in exchange(own)]
        before = {teacher: kl for seen in ranks for teacher, kl in seen.before.items()}
        after = {teacher: kl for seen in ranks for teacher, kl in seen.after.items()}
        kept = {place: entry for seen in ranks for place, entry in seen.kept.items()}
        moments = self._advantages.moments()
        rows = []
        for source, gradients in sorted(self._gradients.items()):
            of_source = moments.get(source, TokenMoments())
            row = SourceRow(
                step=self._step,
                source=source,
                tokens=int(of_source.tokens),
                advantage_mean=of_source.mean,
                advantage_deviation=math.sqrt(of_source.variance),
                gradient_norm=sum(part.norm for part in gradients) / len(gradients),
                gradient_cosine=sum(part.cosine for part in gradients) / len(gradients),
                kl_before=before.get(source),
                kl_after=after.get(source),
            )
            rows.append(row)
        entries = [entry for _, entry in sorted(kept.items())]
        self._writer.step(self._step, rows, entries, last=self._step == self._last_step)
        self._sample = []

    def _rank_step(self, logits: Callable[[Sequence[ProbedRollout]], list[Tensor]]) -> _RankStep:
        before: dict[str, float] = {}
        after: dict[str, float] = {}
        probed = [kept for kept in self._sample if kept.targets]
        probes = [ProbedRollout(kept.item.rollout, sum(map(len, kept.targets))) for kept in probed]
        for kept, now_LV in zip(probed, logits(probes), strict=True):
            target_LV = torch.cat(kept.targets)
            before[kept.item.teacher] = _mean_kl(torch.cat(kept.before), target_LV)
            after[kept.item.teacher] = _mean_kl(now_LV, target_LV)
        entries = {
            place: kept.entry(self._step)
            for place, kept in enumerate(self._sample)
            if kept.response
        }
        return _RankStep(before=before, after=after, kept=entries)


def _tokens_of_rows(batch: Microbatch) -> Iterator[tuple[ScoredRollout, slice]]:
    """Yield each rollout of a microbatch with its place among the response tokens."""
    first = 0
    for item in batch.items:
        yield item, slice(first, first + item.rollout.num_response_tokens)
        first += item.rollout.num_response_tokens


def _keep_tokens(
    kept: _SampledRollout, batch: Microbatch, tokens: slice, inside: slice, loss: TokenLoss
) -> None:
    """Keep a rollout's ``tokens`` of a microbatch, which are ``inside`` the chunk of the loss."""
    kept.response.append(batch.tokens.columns_N[tokens])
    kept.sampler.append(batch.sampler_log_probs_N[tokens])
    kept.weights.append(batch.weights_N[tokens])
    for source, advantages_C in loss.advantages.items():
        kept.advantages[source].append(advantages_C[inside].detach())


def _mean_kl(student_LV: Tensor, target_LV: Tensor) -> float:
    """Return the mean of KL(student || target) over tokens, of logits [L, V], in nats."""
    student_log_LV = torch.log_softmax(student_LV, dim=-1)
    target_log_LV = torch.log_softmax(target_LV, dim=-1)
    return float((student_log_LV.exp() * (student_log_LV - target_log_LV)).sum(-1).mean())
