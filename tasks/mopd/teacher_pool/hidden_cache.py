"""Teachers' last hidden states of a step, kept in host memory for inner updates that come later.

With K > 1 inner updates per step, each update's microbatches are sorted by teacher, so each teacher
would be loaded K times. If all are scored ahead at once, it is loaded once, and afterwards only one
output head is needed at a time (DeepSeek-V4, 2606.19348, section 5.2.2). Logits would be V / D
times larger.

Shapes: N chosen tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections.abc import Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Protocol

import torch
from torch import Tensor

from tasks.model.log_probs import TokenBatch
from tasks.mopd.teacher_pool.device import PoolCounts

ScoreRequest = tuple[str, TokenBatch]
"""A teacher's name and the microbatch that it scores."""


class ScoringPool(Protocol):
    """A pool of teachers: see ``TeacherPool``."""

    counts: PoolCounts

    @property
    def names(self) -> list[str]:
        """The teachers in the pool, sorted."""

    def hidden_bytes(self, teacher: str) -> int:
        """Return the bytes of one token's hidden state."""

    def expect(self, teachers: Sequence[str]) -> None:
        """Announce the coming calls of ``hidden``."""

    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the last hidden states [N, D] before the chosen tokens."""

    def logits(self, teacher: str, hidden_CD: Tensor) -> Tensor:
        """Return the logits [C, V] of some hidden states."""


class HiddenCache:
    """A teacher pool that remembers the hidden states of the microbatches scored ahead."""

    makes_all_passes_first = False
    """Whether every step is scored ahead."""

    def __init__(self, pool: ScoringPool) -> None:
        """Take the pool; the cache is empty."""
        self._pool = pool
        self._kept: dict[tuple[str, bytes], Tensor] = {}
        self.hits = 0

    @property
    def names(self) -> list[str]:
        """The teachers in the pool, sorted."""
        return self._pool.names

    @property
    def counts(self) -> PoolCounts:
        """Counters of the pool."""
        return self._pool.counts

    @property
    def num_bytes(self) -> int:
        """Bytes of host memory that the cached states use."""
        return sum(hidden_ND.nbytes for hidden_ND in self._kept.values())

    def estimate(self, requests: Sequence[tuple[str, int]]) -> int:
        """Return the bytes that scoring ahead would take, from (teacher, tokens) of each batch."""
        return sum(self._pool.hidden_bytes(teacher) * count for teacher, count in requests)

    def score_ahead(
        self, requests: Sequence[ScoreRequest], again: Sequence[ScoreRequest] = ()
    ) -> None:
        """Drop the last step's states, and score all microbatches now, teacher by teacher.

        Those that are to be scored ``again`` are left to ``anew``.
        """
        self._kept.clear()
        ordered = sorted(requests, key=itemgetter(0))
        self._pool.expect([teacher for teacher, _ in ordered])
        for teacher, tokens in ordered:
            hidden_ND = self._pool.hidden(teacher, tokens)
            self._kept[teacher, batch_key(tokens)] = to_host(hidden_ND)

    def expect(self, teachers: Sequence[str]) -> None:
        """See TeacherPool; it has no effect on microbatches that were scored ahead."""
        if not self._kept:
            self._pool.expect(teachers)

    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the states [N, D] on the device of ``tokens``, from the cache if they are there.

        The key is a digest of the microbatch, so another microbatch never gets its states.
        """
        kept_ND = self._kept.get((teacher, batch_key(tokens)))
        if kept_ND is None:
            return self._pool.hidden(teacher, tokens)
        self.hits += 1
        return kept_ND.to(tokens.ids_BS.device, non_blocking=True)

    def anew(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the states as the teacher computes them now, without the cache."""
        return self._pool.hidden(teacher, tokens)

    def logits(self, teacher: str, hidden_CD: Tensor) -> Tensor:
        """See TeacherPool."""
        return self._pool.logits(teacher, hidden_CD)


def batch_key(tokens: TokenBatch) -> bytes:
    """Return a digest of the sequences and of which of their tokens are chosen."""
    digest = blake2b(digest_size=16)
    for part in (tokens.ids_BS, tokens.rows_N, tokens.columns_N):
        digest.update(f"{tuple(part.shape)}".encode())
        digest.update(part.cpu().numpy().tobytes())
    return digest.digest()


def to_host(hidden_ND: Tensor) -> Tensor:
    """Return the states in host memory; the same tensor if it is there already."""
    if hidden_ND.device.type == "cpu":
        return hidden_ND
    host_ND = torch.empty_like(hidden_ND, device="cpu", pin_memory=True)
    return host_ND.copy_(hidden_ND)
