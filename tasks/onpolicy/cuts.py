"""The cut of a step's rollouts into microbatches: how many rows each one holds.

Padding and passes both cost time. The fewest passes are taken whose padding is small. Rows that
belong together, such as the responses to one prompt, are a unit that is not cut.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

MOST_PADDING = 0.1
"""Maximum share of padding in a step's tokens."""


def cut(
    lengths: Sequence[Sequence[int]],
    max_tokens: int,
    counts: Sequence[Sequence[int]] | None = None,
) -> list[list[int]]:
    """Return the number of rows of each microbatch, for each of several sorted lists of units.

    A microbatch holds at most ``max_tokens`` with its padding, or a single unit. A pass has a price
    in tokens: a whole microbatch, which gives the fewest passes, or the highest price at which the
    padding of all lists together is at most ``MOST_PADDING``. At price 0 nothing is padded.

    Args:
        lengths: Length of each unit's rows, ascending.
        max_tokens: Maximum padded size of a microbatch.
        counts: Number of rows of each unit; None for one each.
    """
    counts = counts or [[1] * len(units) for units in lengths]
    pairs = [(np.asarray(u), np.asarray(n)) for u, n in zip(lengths, counts, strict=True)]
    rows = [np.repeat(units, numbers).tolist() for units, numbers in pairs]
    tokens = sum(map(sum, rows))

    def cut_at(price: int) -> list[list[int]]:
        return [_cheapest(units, numbers, max_tokens, price) for units, numbers in pairs]

    def is_little(cuts: list[list[int]]) -> bool:
        padded = sum(padded_tokens(row, sizes) for row, sizes in zip(rows, cuts, strict=True))
        return padded - tokens <= MOST_PADDING * padded

    cuts = cut_at(max_tokens)
    if is_little(cuts):
        return cuts
    low, high, cuts = 0, max_tokens, cut_at(0)
    while high - low > 1 + low // 8:
        middle = (low + high) // 2
        tried = cut_at(middle)
        low, high, cuts = (middle, high, tried) if is_little(tried) else (low, middle, cuts)
    return cuts


def padded_tokens(lengths: Sequence[int], sizes: Sequence[int]) -> int:
    """Return the padded size of sorted rows that are cut into microbatches of ``sizes``."""
    ends = accumulate(sizes)
    return sum(size * lengths[end - 1] for size, end in zip(sizes, ends, strict=True))


def fill(lengths: Sequence[int], sizes: Sequence[int], multiple: int) -> list[int]:
    """Halve the largest microbatches until their number is a multiple of the number of ranks.

    Halving never adds padding, and a rank without a microbatch would wait for the others.
    """
    sizes = list(sizes)
    while len(sizes) % multiple:
        ends = list(accumulate(sizes))
        halves = [place for place, size in enumerate(sizes) if size > 1]
        if not halves:
            break
        largest = max(halves, key=lambda place: sizes[place] * lengths[ends[place] - 1])
        half = sizes[largest] // 2
        sizes[largest : largest + 1] = [half, sizes[largest] - half]
    return sizes


Integers = npt.NDArray[np.int64]


def _cheapest(lengths: Integers, counts: Integers, max_tokens: int, price: int) -> list[int]:
    """Return the rows of each part in the cut with the fewest padded tokens plus its prices."""
    count = len(lengths)
    rows = np.concatenate(([0], counts.cumsum()))
    cost = np.zeros(count + 1, dtype=np.int64)
    first = np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):
        width = int(lengths[end - 1])
        fitting = int(np.searchsorted(rows, rows[end] - max_tokens // width))
        begin = min(fitting, end - 1)
        totals = cost[begin:end] + (rows[end] - rows[begin:end]) * width
        best = int(totals.argmin())
        cost[end], first[end] = totals[best] + price, begin + best
    sizes_backwards, end = [], count
    while end:
        sizes_backwards.append(int(rows[end] - rows[first[end]]))
        end = int(first[end])
    return sizes_backwards[::-1]
