"""Rows of training text: documents cut to the width, or documents and chats kept whole."""

from collections.abc import Sequence
from itertools import chain

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import Tokens

_NUM_OPEN = 32
"""Number of rows that wait for a unit that fits; more of them leave less of a row empty."""


def cut(documents: Sequence[Sequence[int]], width: int) -> list[Tokens]:
    """Return rows of exactly ``width`` tokens from documents one after the other."""
    ids = list(chain.from_iterable(documents))
    return [
        Tokens(tuple(ids[first : first + width]), (True,) * width)
        for first in range(0, len(ids) - width + 1, width)
    ]


def packed(units: Sequence[Tokens], width: int) -> list[Tokens]:
    """Return rows of at most ``width`` tokens, each of whole units in their order.

    A unit joins the fullest open row that has room for it.

    Raises:
        RefusedError: for a unit that is longer than a row.
    """
    longest = max((len(unit.ids) for unit in units), default=0)
    if longest > width:
        raise RefusedError(
            "demonstration-too-long",
            f"a document or demonstration has {longest} tokens, but a row takes "
            f"{width} and none is cut: raise row_tokens, or leave the longest out",
        )
    rows: list[Tokens] = []
    waiting: list[list[Tokens]] = []
    for unit in units:
        fitting = [row for row in waiting if _size(row) + len(unit.ids) <= width]
        if fitting:
            max(fitting, key=_size).append(unit)
            continue
        waiting.append([unit])
        if len(waiting) > _NUM_OPEN:
            fullest = max(waiting, key=_size)
            waiting.remove(fullest)
            rows.append(_joined(fullest))
    return [*rows, *map(_joined, waiting)]


def _size(row: Sequence[Tokens]) -> int:
    return sum(len(unit.ids) for unit in row)


def _joined(row: Sequence[Tokens]) -> Tokens:
    return Tokens(
        tuple(chain.from_iterable(unit.ids for unit in row)),
        tuple(chain.from_iterable(unit.is_response for unit in row)),
    )
