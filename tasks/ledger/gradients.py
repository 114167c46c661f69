"""What is said of one update's gradient: its size, and each source's part in it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.ledger.blocks import Block
from tasks.model.shards import sum_over_parts


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

    def share_of(self, part: SourceGradient) -> float:
        """Return how much of the gradient is a source's: its projection on the whole, over that.

        Shares sum to 1; a source that pulls against the others has one below 0.
        """
        return part.norm * part.cosine / self.gradient_norm if self.gradient_norm > 0 else 0.0


def report_on(blocks: Iterable[Block], clip: float, parameters: Iterable[Tensor]) -> UpdateReport:
    """Return the report of an update, over all ranks where the ``parameters`` are sharded.

    Args:
        blocks: This rank's gradients, by source.
        clip: The largest global norm.
        parameters: What the gradients are of.

    Raises:
        FloatingPointError: if the gradient is not finite, naming the sources whose part is not.
    """
    blocks = list(blocks)
    names = list(blocks[0].sources)
    products_K = torch.stack([_products(block) for block in blocks]).sum(0)
    square, *products = sum_over_parts(products_K, parameters).tolist()
    norm = math.sqrt(square)
    norms = {name: math.sqrt(own) for name, own in zip(names, products[::2], strict=True)}
    if not math.isfinite(norm):
        guilty = [name for name, own in norms.items() if not math.isfinite(own)]
        raise FloatingPointError(f"{norm}, from {guilty or 'no source alone'}")
    sources = {
        name: SourceGradient(own, product / (own * norm) if own * norm > 0 else 0.0)
        for (name, own), product in zip(norms.items(), products[1::2], strict=True)
    }
    return UpdateReport(norm, min(1.0, clip / (norm + 1e-6)), sources)


def _products(block: Block) -> Tensor:
    """Return the square of the sum, then each source's square and its product with the sum [K]."""
    total = block.total_gradient()
    numbers = [_dot(total, total)]
    for source in block.sources.values():
        numbers += [_dot(source.gradient, source.gradient), _dot(source.gradient, total)]
    return torch.stack(numbers)


def _dot(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """Return the inner product of two lists of tensors, a number in fp64."""
    products = [
        torch.dot(a.flatten(), b.flatten()).double() for a, b in zip(left, right, strict=True)
    ]
    return torch.stack(products).sum()
