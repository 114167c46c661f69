"""Keeps the ledger of a run: what each source asked for, step by step, and what came of it.

Shapes: C tokens of a chunk of a microbatch, L looked-at tokens of one rollout, V vocabulary.
"""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tasks.ledger.entries import KeptRollout, SourceRow
from tasks.ledger.gradients import UpdateReport
from tasks.ledger.writer import LedgerWriter
from tasks.onpolicy.microbatch import Microbatch, Scored
from tasks.onpolicy.objective import TokenLoss

_LOOKED_TOKENS = 64
"""Of each teacher, whose logits are held until the step ends to see what the updates achieved."""


@dataclass
class _Tally:
    """Sums of one source over one step."""

    tokens: int = 0
    total: float = 0.0
    squares: float = 0.0
    norms: list[float] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)

    def hear(self, advantages_C: Tensor) -> None:
        advantages = advantages_C.detach().double()
        self.tokens += len(advantages)
        self.total += float(advantages.sum())
        self.squares += float(advantages.square().sum())

    @property
    def mean(self) -> float:
        return self.total / self.tokens if self.tokens else 0.0

    @property
    def deviation(self) -> float:
        if not self.tokens:
            return 0.0
        return math.sqrt(max(0.0, self.squares / self.tokens - self.mean**2))


@dataclass
class _Kept:
    """A rollout of the sample, while its tokens go by."""

    item: Scored
    looked_at: bool
    response: list[int] = field(default_factory=list)
    weight: float = 0.0
    sampler: list[float] = field(default_factory=list)
    advantages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
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
            response=tuple(self.response),
            weight=self.weight,
            sampler_log_probs=tuple(self.sampler),
            advantages={source: tuple(values) for source, values in self.advantages.items()},
        )


class Books:
    """Watches a learner and writes down, each step, what a ledger keeps."""

    def __init__(self, writer: LedgerWriter, seed: int, last_step: int) -> None:
        """Write to ``writer``; which rollouts are kept is drawn from ``seed``."""
        self._writer, self._seed, self._last_step = writer, seed, last_step
        self._step = 0
        self._tallies: dict[str, _Tally] = {}
        self._kept: list[_Kept] = []

    def begin(self, step: int, scored: Sequence[Scored]) -> None:
        """Choose which of a step's rollouts are kept."""
        self._step, self._tallies = step, defaultdict(_Tally)
        count = self._writer.settings.rollouts_per_teacher
        by_teacher: dict[str, list[Scored]] = defaultdict(list)
        for item in scored:
            if item.rollout.num_response_tokens:
                by_teacher[item.teacher].append(item)
        self._kept = []
        for teacher, items in sorted(by_teacher.items()):
            draw = random.Random(f"{self._seed} {step} {teacher}")
            chosen = draw.sample(items, min(count, len(items)))
            self._kept += [_Kept(item, place == 0) for place, item in enumerate(chosen)]

    def saw(self, batch: Microbatch, chunk: slice, student_CV: Tensor, loss: TokenLoss) -> None:
        """Hear what each source makes of a chunk's tokens."""
        for source, advantages_C in loss.advantages.items():
            self._tallies[source].hear(advantages_C)
        for kept in self._kept:
            for row, item in enumerate(batch.items):
                if item is kept.item:
                    own_C = (batch.tokens.rows_N[chunk] == row).nonzero()[:, 0]
                    _take(kept, batch, chunk, own_C, loss)
                    if kept.looked_at and loss.target_CV is not None:
                        room = _LOOKED_TOKENS - sum(map(len, kept.targets))
                        looked_L = own_C[:room]
                        kept.targets.append(loss.target_CV[looked_L].detach().clone())
                        kept.before.append(student_CV[looked_L].detach().clone())

    def updated(self, report: UpdateReport) -> None:
        """Hear of an update's gradient by source."""
        for source, part in report.sources.items():
            self._tallies[source].norms.append(part.norm)
            self._tallies[source].cosines.append(part.cosine)

    def end(self, logits: Callable[[Scored], Tensor]) -> None:
        """Look at a rollout of each teacher again, and write the step down.

        ``logits`` gives the student's logits [tokens, V] of a rollout, as the weights are now.
        """
        before: dict[str, float] = {}
        after: dict[str, float] = {}
        for kept in self._kept:
            if kept.targets:
                target_LV = torch.cat(kept.targets)
                before[kept.item.teacher] = _mean_kl(torch.cat(kept.before), target_LV)
                after[kept.item.teacher] = _mean_kl(logits(kept.item)[: len(target_LV)], target_LV)
        rows = [
            SourceRow(
                step=self._step,
                source=source,
                tokens=tally.tokens,
                advantage_mean=tally.mean,
                advantage_deviation=tally.deviation,
                gradient_norm=sum(tally.norms) / len(tally.norms),
                gradient_cosine=sum(tally.cosines) / len(tally.cosines),
                kl_before=before.get(source),
                kl_after=after.get(source),
            )
            for source, tally in sorted(self._tallies.items())
        ]
        entries = [kept.entry(self._step) for kept in self._kept]
        self._writer.step(self._step, rows, entries, last=self._step == self._last_step)
        self._kept = []


def _take(kept: _Kept, batch: Microbatch, chunk: slice, own_C: Tensor, loss: TokenLoss) -> None:
    if not len(own_C):
        return
    kept.response += batch.tokens.columns_N[chunk][own_C].tolist()
    kept.sampler += batch.sampler_log_probs_N[chunk][own_C].tolist()
    kept.weight = float(batch.weights_N[chunk][own_C[0]])
    for source, advantages_C in loss.advantages.items():
        kept.advantages[source] += advantages_C[own_C].tolist()


def _mean_kl(student_LV: Tensor, target_LV: Tensor) -> float:
    """Return the mean of KL(student || target) over tokens, of logits [L, V], in nats."""
    student_log_LV = torch.log_softmax(student_LV, dim=-1)
    target_log_LV = torch.log_softmax(target_LV, dim=-1)
    return float((student_log_LV.exp() * (student_log_LV - target_log_LV)).sum(-1).mean())
