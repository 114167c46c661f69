"""Parameter averaging and task arithmetic over state dicts, one model in memory at a time.

All models have the same architecture; a name or a shape that differs is an error.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from tasks.contracts.refusal import RefusedError

State = Mapping[str, Tensor]
Weighted = Iterable[tuple[State, float]]
"""Models with their weights; each is loaded when it is needed."""


def average(models: Weighted) -> dict[str, Tensor]:
    """Return the weighted mean of each parameter over the models (model soups, 2203.05482).

    The weights are relative: they are divided by their sum.
    """
    total: dict[str, Tensor] = {}
    precision: dict[str, torch.dtype] = {}
    weights = 0.0
    for model, weight in models:
        if not total:
            precision = {name: tensor.dtype for name, tensor in model.items()}
            total = {name: torch.zeros_like(tensor.float()) for name, tensor in model.items()}
        _check_same_parameters(_shapes(total), model)
        weights += weight
        for name, tensor in model.items():
            total[name] += weight * tensor.float()
    if not total:
        raise RefusedError("no-model", "the list of models is empty: give at least one")
    return {name: (tensor / weights).to(precision[name]) for name, tensor in total.items()}


def task_vector(start: State, models: Weighted) -> dict[str, Tensor]:
    """Return the weighted sum of (model - start), in fp32 (task arithmetic, 2212.04089)."""
    shapes = _shapes(start)
    vector = {name: torch.zeros_like(tensor.float()) for name, tensor in start.items()}
    for model, weight in models:
        _check_same_parameters(shapes, model)
        for name, tensor in start.items():
            vector[name] += weight * (model[name].float() - tensor.float())
    return vector


def task_arithmetic(start: State, vector: State, weight: float) -> dict[str, Tensor]:
    """Return start + weight * vector, in the precision of the start."""
    return {
        name: (tensor.float() + weight * vector[name]).to(tensor.dtype)
        for name, tensor in start.items()
    }


def _shapes(model: State) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.items()}


def _check_same_parameters(shapes: Mapping[str, tuple[int, ...]], model: State) -> None:
    other = _shapes(model)
    different = sorted(n for n in shapes.keys() | other.keys() if shapes.get(n) != other.get(n))
    if different:
        raise RefusedError(
            "other-parameters",
            f"the models differ in parameters {different[:3]} ({len(different)} in all), so "
            "their weights cannot be merged: merge checkpoints of one architecture",
        )
