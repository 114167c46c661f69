"""Scores one teacher on the student's own rollouts: divergences, overlap, entropies, worst tokens.

Shapes: N response tokens of a batch, V vocabulary, K token ids. Everything is in nats.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tasks.contracts.refusal import RefusedError
from tasks.gate.measured import ProbeSettings, TeacherReading, WorstToken
from tasks.model.log_probs import TokenBatch, chosen_hidden, chosen_logits, head_logits
from tasks.onpolicy.microbatch import ScoredRollout, rows_of
from tasks.rollout.collect import Rollout

_ROWS = 16
_TOKENS = 4096
"""Maximum rollouts and tokens per pass, padding included; one rollout may be longer. The logits of
all their response tokens are in memory at once, several times."""
_FIFTHS = 5
_CONTEXT = 24
"""Tokens shown before and after a token."""


class PairedBatch(NamedTuple):
    """Rows of similar length, as the student wrote and as the teacher reads them."""

    student: TokenBatch
    teacher: TokenBatch
    places: list[int]
    """Index of the rollout of each row."""

    def to(self, device: torch.device) -> "PairedBatch":
        """Return the same rows on a device."""
        return PairedBatch(self.student.to(device), self.teacher.to(device), self.places)


def batches(scored: Sequence[ScoredRollout], pad_id: int) -> Iterator[PairedBatch]:
    """Yield batches of similar length; the chosen tokens of both rows are the same, in order."""
    order = sorted(range(len(scored)), key=lambda place: scored[place].length)
    while order:
        fits = [
            count
            for count, place in enumerate(order[:_ROWS], start=1)
            if count * scored[place].length <= _TOKENS
        ]
        count = max(fits, default=1)
        places, order = order[:count], order[count:]
        yield PairedBatch(*rows_of([scored[place] for place in places], pad_id), places)


@torch.no_grad()
def log_likelihoods(
    model: PreTrainedModel, scored: Sequence[ScoredRollout], pad_id: int
) -> list[tuple[float, int]]:
    """Return a teacher's summed log-probability and number of tokens of each response."""
    found = [(0.0, 0)] * len(scored)
    for _, read_by_teacher, places in batches(scored, pad_id):
        batch = read_by_teacher.to(model.device)
        log_p_N = _of(chosen_logits(model, batch).log_softmax(-1), batch.tokens_N)
        for row, place in enumerate(places):
            mine = log_p_N[batch.rows_N == row]
            found[place] = (float(mine.double().sum()), len(mine))
    return found


@dataclass
class _Columns:
    """Values of every token, collected batch by batch."""

    named: dict[str, list[Tensor]]

    def add(self, **values: Tensor) -> None:
        for name, value in values.items():
            self.named.setdefault(name, []).append(value.double().cpu())

    def __getitem__(self, name: str) -> Tensor:
        return torch.cat(self.named[name])


@torch.no_grad()
def read(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    scored: Sequence[ScoredRollout],
    settings: ProbeSettings,
    pad_id: int,
    decode: Callable[[Sequence[int]], str],
) -> TeacherReading:
    """Return the measurements of one teacher on the student's rollouts of one domain.

    Raises:
        ValueError: for rollouts without a response token.
    """
    columns = _Columns({})
    unsteady = 0.0
    for pair in batches(scored, pad_id):
        batch, taught, places = pair.to(student.device)
        student_NV = chosen_logits(student, batch).log_softmax(-1)
        teacher_NV = chosen_logits(teacher, taught).log_softmax(-1)
        if not columns.named:
            again_NV = chosen_logits(teacher, taught).log_softmax(-1)
            unsteady = float(
                (_of(again_NV, batch.tokens_N) - _of(teacher_NV, batch.tokens_N)).abs().max()
            )
        columns.add(**_numbers(student_NV, teacher_NV, batch.tokens_N, settings.top_k))
        columns.add(**_where(batch, places))
    if not columns.named or not len(columns["kl"]):
        raise RefusedError(
            "empty-rollouts",
            "the student's rollouts hold no response token, so there is nothing to measure: check "
            "whether the student ends its turn at once",
        )
    return _summed(
        columns, [s.rollout for s in scored], settings, student.config.vocab_size, unsteady, decode
    )


def _numbers(
    student_NV: Tensor, teacher_NV: Tensor, tokens_N: Tensor, top_k: int
) -> dict[str, Tensor]:
    p_NV, q_NV = student_NV.exp(), teacher_NV.exp()
    k = min(top_k, student_NV.shape[-1])
    of_teacher_NK, of_student_NK = teacher_NV.topk(k).indices, student_NV.topk(k).indices
    shared_N = (of_teacher_NK[:, :, None] == of_student_NK[:, None, :]).any(-1).double().mean(-1)
    return {
        "kl": (p_NV * (student_NV - teacher_NV)).sum(-1),
        "forward_kl": (q_NV * (teacher_NV - student_NV)).sum(-1),
        "overlap": shared_N,
        "mass": p_NV.gather(-1, of_teacher_NK).sum(-1),
        "student_entropy": -(p_NV * student_NV).sum(-1),
        "teacher_entropy": -(q_NV * teacher_NV).sum(-1),
        "teacher": _of(teacher_NV, tokens_N),
        "student": _of(student_NV, tokens_N),
    }


def _where(batch: TokenBatch, places: Sequence[int]) -> dict[str, Tensor]:
    """Return each token's rollout, column and relative position in the answer."""
    rows_N = batch.rows_N
    counts_B = torch.bincount(rows_N, minlength=len(places))
    starts_B = counts_B.cumsum(0) - counts_B
    nth_N = torch.arange(len(rows_N), device=rows_N.device) - starts_B[rows_N]
    places_B = torch.tensor(places, device=rows_N.device)
    return {
        "along": nth_N / counts_B[rows_N],
        "place": places_B[rows_N],
        "column": batch.columns_N,
    }


def _of(log_probs_NV: Tensor, tokens_N: Tensor) -> Tensor:
    return log_probs_NV.gather(-1, tokens_N[:, None]).squeeze(-1)


def _summed(
    columns: _Columns,
    rollouts: Sequence[Rollout],
    settings: ProbeSettings,
    vocabulary: int,
    unsteady: float,
    decode: Callable[[Sequence[int]], str],
) -> TeacherReading:
    kl_N, teacher_N = columns["kl"], columns["teacher"]
    fifth_N = (columns["along"] * _FIFTHS).long().clamp(max=_FIFTHS - 1)
    course = [kl_N[fifth_N == fifth] for fifth in range(_FIFTHS)]
    means = {
        name: float(columns[name].mean())
        for name in (
            "kl",
            "forward_kl",
            "overlap",
            "mass",
            "student_entropy",
            "teacher_entropy",
        )
    }
    return TeacherReading(
        tokens=len(kl_N),
        kl_course=tuple(float(part.mean()) if len(part) else 0.0 for part in course),
        rare=float((teacher_N < math.log(settings.rare)).double().mean()),
        from_uniform=float((teacher_N + math.log(vocabulary)).abs().mean()),
        finite=bool(torch.isfinite(kl_N).all() and torch.isfinite(teacher_N).all()),
        unsteady=unsteady,
        worst=tuple(_worst(columns, rollouts, settings.worst_tokens, decode)),
        **means,
    )


def _worst(
    columns: _Columns,
    rollouts: Sequence[Rollout],
    count: int,
    decode: Callable[[Sequence[int]], str],
) -> Iterator[WorstToken]:
    """Yield the tokens with the largest KL, at most one per rollout."""
    kl_N, seen = columns["kl"].nan_to_num(nan=math.inf), set[int]()
    for n in kl_N.argsort(descending=True).tolist():
        place, column = int(columns["place"][n]), int(columns["column"][n])
        if len(seen) >= count:
            return
        if place in seen:
            continue
        seen.add(place)
        ids = rollouts[place].ids
        yield WorstToken(
            before=decode(ids[max(0, column - _CONTEXT) : column]),
            token=decode(ids[column : column + 1]),
            after=decode(ids[column + 1 : column + 1 + _CONTEXT]),
            kl=float(columns["kl"][n]),
            teacher_log_prob=float(columns["teacher"][n]),
            student_log_prob=float(columns["student"][n]),
        )


class StudentStates:
    """The student's last hidden states on its own rollouts, in host memory for all rungs."""

    @torch.no_grad()
    def __init__(
        self, student: PreTrainedModel, scored: Sequence[ScoredRollout], pad_id: int
    ) -> None:
        """Compute the student's states on its rollouts, once."""
        self._student = student
        self._read: list[tuple[TokenBatch, Tensor]] = []
        for pair in batches(scored, pad_id):
            batch, taught, _ = pair.to(student.device)
            self._read.append((taught, chosen_hidden(student, batch).cpu()))

    @torch.no_grad()
    def kl_to(self, rung: PreTrainedModel) -> float:
        """Return the mean KL(student || rung) over response tokens; NaN if it is not finite.

        Raises:
            ValueError: for rollouts without a response token.
        """
        total, tokens = 0.0, 0
        for batch, hidden_ND in self._read:
            student_NV = head_logits(self._student, hidden_ND.to(rung.device)).log_softmax(-1)
            rung_NV = chosen_logits(rung, batch).log_softmax(-1)
            total += float((student_NV.exp() * (student_NV - rung_NV)).sum(dtype=torch.float64))
            tokens += len(hidden_ND)
        if not tokens:
            raise RefusedError(
                "empty-rollouts",
                "the student's rollouts hold no response token, so no rung can be measured: check "
                "whether the student ends its turn at once",
            )
        return total / tokens
