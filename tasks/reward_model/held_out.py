"""How often a reward model prefers the chosen response, overall and by strength."""

from collections.abc import Iterable, Sequence

from tasks.reward_model.groups import ComparedGroup
from tasks.rollout.responses import Strength
from tasks.statistics import wilson


def pair_accuracy(groups: Iterable[ComparedGroup], scores: Sequence[float]) -> dict[str, float]:
    """Return ``accuracy`` with its 95 % interval (Wilson), also by strength, and the counts.

    Equal scores count as wrong.

    Args:
        groups: Comparisons by prompt.
        scores: Scores of all responses of the groups, one group after the other.
    """
    right: dict[str, list[bool]] = {}
    first = 0
    for group in groups:
        for pair in group.pairs:
            is_right = scores[first + pair.chosen] > scores[first + pair.rejected]
            right.setdefault("accuracy", []).append(is_right)
            right.setdefault(_name(pair.strength), []).append(is_right)
        first += len(group.responses)
    return {name: value for key, found in right.items() for name, value in _row(key, found)}


def _name(strength: Strength) -> str:
    return f"accuracy_{strength.name.lower()}"


def _row(name: str, right: Sequence[bool]) -> Iterable[tuple[str, float]]:
    interval = wilson(sum(right), len(right))
    yield name, interval.mean
    yield f"{name}_low", interval.low
    yield f"{name}_high", interval.high
    yield f"{name}_pairs", len(right)
