"""Exact and near duplicates among texts.

Two texts are as alike as their sets of three-word runs are (Jaccard). Pairs are compared only if
they share one of their rarest runs, which all pairs above the threshold do: the prefix filter of
Chaudhuri, Ganti and Kaushik (2006). So nothing is missed, and a large set needs no quadratic time.
"""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import TypeVar

Item = TypeVar("Item")
_RUN = 3


_ROUNDING = 1e-9
"""Subtracted before rounding up: 0.7 * 10 is a little more than 7."""


def without_duplicates(
    items: Sequence[Item], texts: Sequence[str], scores: Sequence[float], threshold: float
) -> list[Item]:
    """Return the items without duplicates, in the order given.

    Items are taken from the best score down, and one that is at least ``threshold`` like a taken
    one is left out. At a threshold of 1 only equal texts are duplicates, white space apart.
    """
    sets = [_runs(text, whole=threshold == 1.0) for text in texts]
    frequency = Counter(run for runs in sets for run in runs)
    rarest = [sorted(runs, key=lambda run: (frequency[run], run)) for runs in sets]
    holders: dict[tuple[str, ...], list[int]] = {}
    taken: list[int] = []
    for place in sorted(range(len(items)), key=lambda place: -scores[place]):
        runs = rarest[place]
        shared = ceil(threshold * len(runs) - _ROUNDING)
        prefix = runs[: len(runs) - shared + 1]
        rivals = {rival for run in prefix for rival in holders.get(run, ())}
        if any(_alike(sets[place], sets[rival]) >= threshold for rival in rivals):
            continue
        taken.append(place)
        for run in prefix:
            holders.setdefault(run, []).append(place)
    return [items[place] for place in sorted(taken)]


def _alike(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other)


def _runs(text: str, *, whole: bool) -> set[tuple[str, ...]]:
    """Return a text's runs of three words; all of its words as one if whole, or if too short."""
    words = text.split()
    if whole or len(words) < _RUN:
        return {tuple(words)}
    return {tuple(words[place : place + _RUN]) for place in range(len(words) - _RUN + 1)}
