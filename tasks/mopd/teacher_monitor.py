"""Monitors the teachers: do repeated answers agree, and does the student's top k overlap theirs?

Shapes: C tokens of a chunk, N response tokens of a microbatch, D hidden size, V vocabulary.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from pydantic import JsonValue
from torch import Tensor

from tasks.model.log_probs import TokenBatch
from tasks.mopd.round_models import FrozenModels, ScoreRequest
from tasks.platform.ranks import exchange_json, sum_over_ranks

_TOKENS = 64
"""Number of tokens checked per teacher: enough to see a fault, at almost no cost."""
_WORDS = 16
"""Number of most likely tokens compared; a student that learns shares more of its teacher's."""


class TeacherMonitor:
    """The checks of one run, on the first tokens of each teacher's first microbatch in a step."""

    def __init__(self, teachers: FrozenModels, names: Iterable[str], recheck_every: int) -> None:
        """Score twice with each of ``names`` every so many steps, beginning with the first."""
        self._teachers, self._names = teachers, list(names)
        self._every = recheck_every
        self._to_recheck: set[str] = set()
        self._unsteady: dict[str, Tensor] = {}
        self._overlaps: dict[str, Tensor] = {}
        self._first: dict[str, tuple[TokenBatch, Tensor]] = {}

    def begin_step(self, step: int) -> None:
        """Start the checks of a new step."""
        self._unsteady, self._overlaps = {}, {}
        due = step % self._every == 1 or self._every == 1
        self._to_recheck = set(self._names) if due else set()

    def to_rescore(self, requests: Iterable[ScoreRequest]) -> list[ScoreRequest]:
        """Return what ``recheck`` will score again in this step, given all that is scored."""
        first = dict(reversed([*requests]))
        due = [name for name in self._names if name in self._to_recheck and name in first]
        earlier = [(name, self._first[name][0]) for name in due if name in self._first]
        return [(name, first[name]) for name in due] + earlier

    @torch.no_grad()
    def recheck(self, teacher: str, tokens: TokenBatch, hidden_ND: Tensor) -> None:
        """If a recheck is due, score these tokens and those of the first recheck again.

        The largest difference is kept for the step's metrics.
        """
        if teacher not in self._to_recheck:
            return
        self._to_recheck.discard(teacher)
        first = self._log_probs(teacher, hidden_ND)
        again = self._log_probs(teacher, self._teachers.rescore(teacher, tokens))
        largest = (first - again).abs().max()
        if teacher not in self._first:
            self._first[teacher] = tokens, first.cpu()
        else:  # the same tokens as in the first step: a frozen teacher has the same answers
            old_tokens, old = self._first[teacher]
            now = self._log_probs(teacher, self._teachers.rescore(teacher, old_tokens))
            largest = torch.maximum(largest, (now - old.to(now.device)).abs().max())
        self._unsteady[teacher] = largest

    def _log_probs(self, teacher: str, hidden_ND: Tensor) -> Tensor:
        return torch.log_softmax(self._teachers.logits(teacher, hidden_ND[:_TOKENS]), -1)

    @torch.no_grad()
    def overlap(self, teacher: str, student_CV: Tensor, teacher_CV: Tensor) -> None:
        """Keep the share of the teacher's most likely tokens that are among the student's."""
        if teacher in self._overlaps:
            return
        k = min(_WORDS, student_CV.shape[-1])
        own_Ck, theirs_Ck = (
            logits_CV[:_TOKENS].topk(k, -1, sorted=False).indices
            for logits_CV in (student_CV, teacher_CV)
        )
        shared_Ck = (theirs_Ck[:, :, None] == own_Ck[:, None, :]).any(-1)
        self._overlaps[teacher] = shared_Ck.float().mean()

    def end_step(self) -> dict[str, float]:
        """Return the step's metrics: the largest difference on any rank, and the mean overlap.

        Collective.
        """
        sums = sum_over_ranks({name: float(share) for name, share in self._overlaps.items()})
        counts = sum_over_ranks(dict.fromkeys(self._overlaps, 1.0))
        unsteady = _largest(
            exchange_json({name: float(nats) for name, nats in self._unsteady.items()})
        )
        return {
            **{f"top_{_WORDS}_overlap/{name}": sums[name] / counts[name] for name in sums},
            **{f"unsteady/{name}": nats for name, nats in unsteady.items()},
        }


def _largest(by_rank: Sequence[JsonValue]) -> dict[str, float]:
    """Return the largest value of each name over all ranks; NaN stays NaN."""
    largest: dict[str, float] = {}
    for values in by_rank:
        assert isinstance(values, dict)
        for name, value in values.items():
            number = float(str(value))
            if name not in largest or not (math.isnan(largest[name]) or number <= largest[name]):
                largest[name] = number
    return largest
