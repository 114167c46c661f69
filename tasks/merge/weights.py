"""The arithmetic of merges: mean, task arithmetic, TIES, DARE; one model in memory at a time."""

import random
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from tasks.contracts.refusal import RefusedError

State = Mapping[str, Tensor]
Weighted = Iterable[tuple[State, float]]
"""Models with their weights; each is loaded when it is needed."""


def average(models: Weighted) -> dict[str, Tensor]:
    """Return the weighted mean of each parameter over the models (model soups, 2203.05482).

    The weights are relative: they are divided by their sum. The mean of bf16 weights is in fp32.
    """
    total: dict[str, Tensor] = {}
    precision: dict[str, torch.dtype] = {}
    weights = 0.0
    for model, weight in models:
        if not total:
            precision = {n: t.dtype for n, t in model.items() if not t.is_floating_point()}
            total = {name: torch.zeros_like(tensor.float()) for name, tensor in model.items()}
        check_same_parameters(_shapes(total), model)
        weights += weight
        for name, tensor in model.items():
            total[name] += weight * tensor.float()
    if not total:
        raise RefusedError("no-model", "the list of models is empty: give at least one")
    return {
        name: (tensor / weights).to(precision.get(name, torch.float32))
        for name, tensor in total.items()
    }


def task_vector(start: State, models: Weighted) -> dict[str, Tensor]:
    """Return the weighted sum of (model - start), in fp32 (task arithmetic, 2212.04089)."""
    shapes = _shapes(start)
    vector = {name: torch.zeros_like(tensor.float()) for name, tensor in start.items()}
    for model, weight in models:
        check_same_parameters(shapes, model)
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


def check_same_parameters(shapes: Mapping[str, tuple[int, ...]], model: State) -> None:
    """Refuse a model with other parameters, or parameters of other shapes."""
    other = _shapes(model)
    different = sorted(n for n in shapes.keys() | other.keys() if shapes.get(n) != other.get(n))
    if different:
        raise RefusedError(
            "other-parameters",
            f"the models differ in parameters {different[:3]} ({len(different)} in all), so "
            "their weights cannot be merged: merge checkpoints of one architecture",
        )


def trimmed(vector: State, density: float) -> dict[str, Tensor]:
    """Return a task vector with only the largest share ``density`` of its entries, by magnitude.

    TIES-Merging (2306.01708), step 1. The share is of the whole vector, not of each parameter.
    """
    size = sum(tensor.numel() for tensor in vector.values())
    kept = max(1, round(density * size))
    magnitudes = torch.cat([tensor.abs().flatten() for tensor in vector.values()])
    least = magnitudes.kthvalue(size - kept + 1).values
    return {name: tensor * (tensor.abs() >= least) for name, tensor in vector.items()}


def dropped(vector: State, density: float, seed: str) -> dict[str, Tensor]:
    """Return a task vector with a random share ``density`` of its entries, scaled up by 1/density.

    DARE (2311.03099): the expectation of each entry stays.
    """
    generator = torch.Generator().manual_seed(random.Random(seed).getrandbits(63))
    return {
        name: tensor * (torch.rand(tensor.shape, generator=generator) < density) / density
        for name, tensor in vector.items()
    }


def ties(start: State, models: Weighted, density: float) -> dict[str, Tensor]:
    """Return the TIES vector: trimmed, with elected signs, averaged where the signs agree.

    TIES-Merging (2306.01708), steps 1 to 3. A model's weight counts in the election and in the
    mean; entries that are trimmed count in neither.
    """
    shapes = _shapes(start)
    sums = [{name: torch.zeros(shape) for name, shape in shapes.items()} for _ in range(2)]
    counts = [{name: torch.zeros(shape) for name, shape in shapes.items()} for _ in range(2)]
    for model, weight in models:
        check_same_parameters(shapes, model)
        vector = trimmed(_difference(start, model), density)
        for name, tensor in vector.items():
            for side, same in enumerate((tensor > 0, tensor < 0)):
                sums[side][name] += weight * tensor * same
                counts[side][name] += weight * same
    merged = {}
    for name in shapes:
        means = [sums[side][name] / counts[side][name].clamp(min=1e-12) for side in range(2)]
        elected = sums[0][name] + sums[1][name]
        merged[name] = torch.where(elected > 0, means[0], torch.where(elected < 0, means[1], 0.0))
    return merged


def dare(start: State, models: Weighted, density: float, seed: int) -> dict[str, Tensor]:
    """Return the weighted sum of the models' randomly thinned task vectors (2311.03099)."""
    shapes = _shapes(start)
    total = {name: torch.zeros(shape) for name, shape in shapes.items()}
    for place, (model, weight) in enumerate(models):
        check_same_parameters(shapes, model)
        vector = dropped(_difference(start, model), density, f"{seed} {place}")
        for name, tensor in vector.items():
            total[name] += weight * tensor
    return total


def _difference(start: State, model: State) -> dict[str, Tensor]:
    return {name: model[name].float() - tensor.float() for name, tensor in start.items()}
