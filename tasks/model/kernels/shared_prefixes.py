"""The layout of sequences in one packed row, with each shared beginning once and no padding.

Responses to one prompt begin with that prompt, and prompts of a domain begin with the same
template. Neighboring sequences that begin alike form a run; its shared tokens are packed once, in
front of each sequence's own tokens.

Shapes: B sequences of S tokens, R runs, T packed tokens, N chosen tokens, A heads, D head size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

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


def tokens_read(length: int, lengths_B: Sequence[int], runs: Sequence[PrefixRun] = ()) -> int:
    """Return how many tokens a model reads of a batch: all, or packed where that pays.

    Args:
        length: Number of tokens of a padded sequence.
        lengths_B: Number of tokens of each sequence, without padding.
        runs: Runs of sequences that begin alike; () where nothing is shared.
    """
    total = len(lengths_B) * length
    packed = sum(lengths_B) - sum(run.num_saved for run in runs)
    return packed if _pays(packed, total) else total


def _pays(packed: int, total: int) -> bool:
    return total - packed >= LEAST_SAVED * total


class Packing:
    """Layout of B right-padded sequences in one packed row."""

    def __init__(
        self, length: int, lengths_B: Sequence[int], runs: Sequence[PrefixRun] = ()
    ) -> None:
        """Lay out sequences, each with a token of its own at least.

        Args:
            length: Number of tokens of a padded sequence.
            lengths_B: Number of tokens of each sequence, without padding.
            runs: Runs of all sequences, in their order; () where nothing is shared.
        """
        self.length = length
        rows = iter(lengths_B)
        self._runs: list[_RunLayout] = []
        for run in runs or [PrefixRun(len(lengths_B), 0)]:
            sizes = list(islice(rows, run.num_rows))
            num_shared = min(run.num_shared, *(size - 1 for size in sizes))
            own = [size - num_shared for size in sizes]
            self._runs.append(_RunLayout(num_shared, own, length - num_shared))
        self._sizes = [run.num_shared + sum(run.own) for run in self._runs]
        self.asked = 0
        """Number of attention calls of the current layer so far."""

    @property
    def num_tokens(self) -> int:
        """Number T of packed tokens."""
        return sum(self._sizes)

    @property
    def pays(self) -> bool:
        """Whether a packed row spares enough tokens to be worth the copies that it needs."""
        total = self.length * sum(len(run.own) for run in self._runs)
        return _pays(self.num_tokens, total)

    def pack(self, ids_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Return the packed ids [1, T] and their positions [1, T]."""
        positions_BS = torch.arange(self.length, device=ids_BS.device).expand_as(ids_BS)
        return self._taken(ids_BS)[None], self._taken(positions_BS)[None]

    def places(self, rows_N: Tensor, columns_N: Tensor) -> Tensor:
        """Return the places [N] in the packed row of columns of the sequences' own parts."""
        starts: list[int] = []
        for begin, run in zip(accumulate(self._sizes, initial=0), self._runs, strict=False):
            starts += accumulate(run.own[:-1], initial=begin)
        return torch.tensor(starts, device=rows_N.device)[rows_N] + columns_N

    def whole(self, packed_1ATD: Tensor) -> Tensor:
        """Return the sequences one by one [B, A, S, D]; padding is zero."""
        packed_TAD = packed_1ATD[0].transpose(0, 1)
        parts = []
        for run, part_TAD in zip(self._runs, packed_TAD.split(self._sizes), strict=True):
            shared_PAD, own_TAD = part_TAD.split([run.num_shared, sum(run.own)])
            own_BRAD = run.padded(own_TAD)
            shared_BPAD = shared_PAD.expand(len(run.own), -1, -1, -1)
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
        # Pieces of one split: each slice would fill a whole tensor in backward.
        parts = whole_BS.split([len(run.own) for run in self._runs])
        for run, rows_BS in zip(self._runs, parts, strict=True):
            shared_BP, own_BR = rows_BS.split([run.num_shared, run.width], dim=1)
            if run.num_shared:
                yield shared_BP[0]
            yield from run.without_padding(own_BR.flatten(0, 1))


@dataclass(frozen=True)
class _RunLayout:
    """Layout of a run: its shared tokens, and behind them each sequence's own."""

    num_shared: int
    own: Sequence[int]
    """Number of each sequence's own tokens."""
    width: int
    """The same with padding."""

    @property
    def _is_full(self) -> bool:
        return all(size == self.width for size in self.own)

    @property
    def _turns(self) -> list[int]:
        """Number of own tokens and of padding, by turns."""
        return [number for size in self.own for number in (size, self.width - size)]

    def padded(self, own_TAD: Tensor) -> Tensor:
        """Return the own tokens of each sequence [B, R, A, D], R as wide as the widest."""
        if not self._is_full:
            empty_RAD = own_TAD.new_zeros(self.width, *own_TAD.shape[1:])
            pieces = zip(own_TAD.split(list(self.own)), self.own, strict=True)
            own_TAD = torch.cat([part for own, n in pieces for part in (own, empty_RAD[n:])])
        return own_TAD.view(len(self.own), self.width, *own_TAD.shape[1:])

    def without_padding(self, padded_TAD: Tensor) -> Sequence[Tensor]:
        """Return the own tokens of the sequences, which lie one behind the other with padding."""
        return [padded_TAD] if self._is_full else padded_TAD.split(self._turns)[::2]
