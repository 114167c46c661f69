"""The layout of sequences that begin alike in one packed row, which holds each beginning once.

Responses to one prompt begin with that prompt, and prompts of a domain begin with the same
template. Neighboring sequences that begin alike form a run; its shared tokens are packed once, in
front of each sequence's own tokens.

Shapes: B sequences of S tokens, R runs, T packed tokens, N chosen tokens, A heads, D head size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

LEAST_SAVED = 0.05
"""Minimum share of saved tokens at which packing pays for the copies that attention makes
(``benchmarks/step/shared_beginning.py``)."""


@dataclass(frozen=True)
class PrefixRun:
    """Neighboring sequences that begin with the same tokens."""

    num_rows: int
    num_shared: int
    """Tokens that all of them begin with and that are read once; 0 for a sequence alone."""

    @property
    def num_saved(self) -> int:
        """Number of tokens that need not be read again."""
        return (self.num_rows - 1) * self.num_shared

    def num_tokens(self, length: int) -> int:
        """Return the run's number of packed tokens, at ``length`` tokens a sequence."""
        return self.num_rows * length - self.num_saved


def shared_runs(ids_BS: Tensor, limits_B: Sequence[int]) -> tuple[PrefixRun, ...]:
    """Cut sequences into the runs that save the most tokens; () if nothing is saved.

    Args:
        ids_BS: The sequences, in their order.
        limits_B: How many tokens of each sequence may be shared at most.
    """
    num_rows = len(ids_BS)
    alike = (ids_BS[1:] == ids_BS[:-1]).cumprod(1).sum(1).numpy()
    limits = np.maximum(np.asarray(limits_B), 0)
    # Rows k and k + 1 in one run: it shares at most this much.
    joined = np.minimum(limits[:-1], alike)
    saved = np.zeros(num_rows + 1, dtype=np.int64)
    first = np.zeros(num_rows + 1, dtype=np.int64)
    for end in range(1, num_rows + 1):
        # By the run's first row: what rows up to ``end`` share, and what they then save in all.
        backwards = np.concatenate((limits[end - 1 : end], joined[: end - 1][::-1]))
        shared = np.minimum.accumulate(backwards)[::-1]
        totals = saved[:end] + np.arange(end - 1, -1, -1) * shared
        first[end] = totals.argmax()
        saved[end] = totals[first[end]]
    if not saved[num_rows]:
        return ()
    runs, end = [], num_rows
    while end:
        begin = int(first[end])
        alone = end - begin == 1
        together = limits[end - 1 : end].tolist() + joined[begin : end - 1].tolist()
        runs.append(PrefixRun(end - begin, 0 if alone else min(together)))
        end = begin
    return tuple(reversed(runs))


def tokens_read(num_rows: int, length: int, runs: Sequence[PrefixRun]) -> int:
    """Return how many tokens a model reads of a batch: all, or packed where that pays."""
    saved = sum(run.num_saved for run in runs)
    total = num_rows * length
    return total if saved < LEAST_SAVED * total else total - saved


class Packing:
    """Layout of B sequences in one packed row."""

    def __init__(self, runs: Sequence[PrefixRun], length: int) -> None:
        """Lay out sequences of ``length`` tokens; each run keeps a token of each sequence's own."""
        self.runs = tuple(PrefixRun(run.num_rows, min(run.num_shared, length - 1)) for run in runs)
        self.length = length
        self._sizes = [run.num_tokens(length) for run in self.runs]
        self.asked = 0
        """Number of attention calls of the current layer so far."""

    def pack(self, ids_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Return the packed ids [1, T] and their positions [1, T]."""
        positions_BS = torch.arange(self.length, device=ids_BS.device).expand_as(ids_BS)
        return self._taken(ids_BS)[None], self._taken(positions_BS)[None]

    def places(self, rows_N: Tensor, columns_N: Tensor) -> Tensor:
        """Return the places [N] in the packed row of columns of the sequences' own parts."""
        starts: list[int] = []
        for begin, run in zip(accumulate(self._sizes, initial=0), self.runs, strict=False):
            own = self.length - run.num_shared
            starts += range(begin, begin + run.num_rows * own, own)
        return torch.tensor(starts, device=rows_N.device)[rows_N] + columns_N

    def whole(self, packed_1ATD: Tensor) -> Tensor:
        """Return the sequences one by one [B, A, S, D]."""
        packed_TAD = packed_1ATD[0].transpose(0, 1)
        parts = []
        for run, part_TAD in zip(self.runs, packed_TAD.split(self._sizes), strict=True):
            own = (run.num_rows, self.length - run.num_shared)
            shared_BPAD = part_TAD[: run.num_shared].expand(run.num_rows, -1, -1, -1)
            own_BRAD = part_TAD[run.num_shared :].unflatten(0, own)
            # Heads behind tokens: whole tokens are copied, and the result is laid out as its
            # parts are.
            parts.append(torch.cat((shared_BPAD, own_BRAD), dim=1) if run.num_shared else own_BRAD)
        whole_BSAD = torch.cat(parts) if len(parts) > 1 else parts[0]
        return whole_BSAD.transpose(1, 2)

    def packed(self, whole_BSAD: Tensor) -> Tensor:
        """Return what ``whole`` was given, heads behind tokens [1, T, A, D]."""
        return self._taken(whole_BSAD)[None]

    def _taken(self, whole_BS: Tensor) -> Tensor:
        """Return the packed tokens [T, ...] of whole sequences [B, S, ...]."""
        return torch.cat(list(self._pieces(whole_BS)))

    def _pieces(self, whole_BS: Tensor) -> Iterator[Tensor]:
        first = 0
        for run in self.runs:
            rows_BS = whole_BS[first : first + run.num_rows]
            if run.num_shared:
                yield rows_BS[0, : run.num_shared]
            yield rows_BS[:, run.num_shared :].flatten(0, 1)
            first += run.num_rows
