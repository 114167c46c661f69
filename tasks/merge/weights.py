"""Parameter averaging and task arithmetic over state dicts.

All models have the same architecture; a name or a shape that differs is an error.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def average(states: Sequence[State]) -> dict[str, Tensor]:
    """Return the mean of each parameter over the models (model soups, 2203.05482)."""
    _check(states)
    return {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(tensor.dtype)
        for name, tensor in states[0].items()
    }


def task_arithmetic(start: State, states: Sequence[State], weight: float) -> dict[str, Tensor]:
    """Return start + weight * sum of (model - start) (task arithmetic, 2212.04089, section 2)."""
    _check([start, *states])
    return {
        name: (
            tensor.float() + weight * sum(state[name].float() - tensor.float() for state in states)
        ).to(tensor.dtype)
        for name, tensor in start.items()
    }


def _check(states: Sequence[State]) -> None:
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in states]
    for other in shapes[1:]:
        different = sorted(
            name
            for name in shapes[0].keys() | other.keys()
            if shapes[0].get(name) != other.get(name)
        )
        if different:
            raise ValueError(
                f"the models differ in parameters {different[:3]} ({len(different)} in all), so "
                "their weights cannot be merged: merge checkpoints of one architecture"
            )
