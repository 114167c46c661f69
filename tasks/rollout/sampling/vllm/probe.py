"""Which turns are compared with the policy: those that a server's prefix cache served most of.

A cache that holds another policy's states shows in turns behind a prefix that an earlier request
began with, and nowhere else.
"""

from collections.abc import Sequence
from itertools import pairwise, takewhile

NUM_PROBED = 4


def most_shared(rows: Sequence[Sequence[int]]) -> list[int]:
    """Return the places of the rows that begin as another one does for longest."""
    order = sorted(range(len(rows)), key=lambda place: (list(rows[place]), place))
    shared = {later: _common(rows[earlier], rows[later]) for earlier, later in pairwise(order)}
    return sorted(range(len(rows)), key=lambda place: (-shared.get(place, 0), place))[:NUM_PROBED]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many ids two rows begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
