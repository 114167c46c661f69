"""Rows of a given width from documents one after the other, with their positions.

A document that a row cannot hold goes on in the next row. Isolated documents start anew at position
0, also where they go on, and none predicts the first token of the next.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

NOT_LEARNED = -100


@dataclass(frozen=True)
class PackedRow:
    """One row; every token but the first of a document is learned."""

    input_ids: list[int]
    labels: list[int]
    position_ids: list[int]


def pack(documents: Iterator[Sequence[int]], width: int, count: int) -> list[PackedRow]:
    """Return ``count`` rows of exactly ``width`` tokens, of documents that are isolated."""
    rows = []
    rest: Sequence[int] = ()
    for _ in range(count):
        pieces: list[Sequence[int]] = []
        room = width
        while room:
            rest = rest or next(documents)
            pieces.append(rest[:room])
            rest = rest[len(pieces[-1]) :]
            room -= len(pieces[-1])
        rows.append(_row(pieces))
    return rows


def plain(row: PackedRow) -> PackedRow:
    """Return the same tokens as one text: all are learned, positions run through."""
    return PackedRow(row.input_ids, row.input_ids, list(range(len(row.input_ids))))


def _row(pieces: Sequence[Sequence[int]]) -> PackedRow:
    ids = [token for piece in pieces for token in piece]
    positions = [place for piece in pieces for place in range(len(piece))]
    starts = [False, *(after == 0 for _, after in pairwise(positions))]
    labels = [
        NOT_LEARNED if starts_anew else token
        for token, starts_anew in zip(ids, starts, strict=True)
    ]
    return PackedRow(ids, labels, positions)
