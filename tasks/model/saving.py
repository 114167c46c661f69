"""Saves weights in fp32 or rounded to bf16, and says what the rounding costs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pydantic import JsonValue
from torch import Tensor
from transformers import PreTrainedModel

from tasks.model.files import Policy, save_policy
from tasks.model.settings import Precision

DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}


def save_in(
    policy: Policy,
    folder: Path,
    precision: Precision,
    write: Callable[[Policy, Path], Path] = save_policy,
) -> dict[str, JsonValue]:
    """Save a policy in a precision; return what that rounds away, for the record.

    ``rounding`` is the share of the norm of the weights; fp32 weights lose nothing in fp32.
    ``write`` writes a model that is no causal LM.
    """
    note: dict[str, JsonValue] = {"precision": precision.value}
    if precision is not Precision.FP32:
        lost, whole = squares(policy.model.parameters(), DTYPES[precision]).tolist()
        note["rounding"] = (lost / whole) ** 0.5
    with held_in(policy.model, DTYPES[precision]):
        write(policy, folder)
    return note


def squares(weights: Iterable[Tensor], kept: torch.dtype) -> Tensor:
    """Return the sum of squares [2] of what rounding takes from weights, and of the weights."""
    found = torch.zeros(2, dtype=torch.float64)
    for tensor in weights:
        whole = tensor.detach().double()
        lost = whole - tensor.detach().to(kept).double()
        found += torch.stack([lost.square().sum(), whole.square().sum()]).cpu()
    return found


@contextmanager
def held_in(model: PreTrainedModel, kept: torch.dtype) -> Iterator[None]:
    """Let the model hold its weights rounded to a precision inside, so that they are saved so."""
    weights = [(parameter, parameter.data) for parameter in model.parameters()]
    for parameter, data in weights:
        parameter.data = data.to(kept)
    try:
        yield
    finally:
        for parameter, data in weights:
            parameter.data = data
