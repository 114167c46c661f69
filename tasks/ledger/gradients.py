"""What is said of one update's gradient: its size, and each source's part in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SourceGradient:
    """A source's part of one update's gradient, before clipping."""

    norm: float
    cosine: float
    """With the sum over all sources; 0 where either is zero."""


@dataclass(frozen=True)
class UpdateReport:
    """What one update did."""

    gradient_norm: float
    """Of the sum over sources, before clipping."""
    clip_factor: float
    """What the gradient was multiplied by; 1 where the clip did not bind."""
    sources: Mapping[str, SourceGradient]


def local(tensor: Tensor) -> Tensor:
    """Return a tensor, or this rank's shard of it; both share memory with what is given."""
    shard = getattr(tensor, "to_local", None)
    return shard() if shard is not None else tensor


def dot(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    """Return the inner product of two lists of tensors, summed in fp64."""
    products = [
        torch.dot(a.flatten(), b.flatten()).double() for a, b in zip(left, right, strict=True)
    ]
    return float(torch.stack(products).sum())
