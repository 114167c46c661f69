"""The report on one update's gradient: its size, and each source's part of it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.model.shards import sum_over_parts

_ON_CPU, _ON_GPU = 1 << 18, 1 << 26
"""Elements per array in a block. A CPU's caches should hold all arrays of a block, and Python's
overhead should be small: 33 million weights took 109 ms in blocks of 2^18, 134 ms of 2^16, 210 ms
in one."""


def block_elements(*, on_gpu: bool) -> int:
    """Return the elements per array of the weights that are updated together."""
    return _ON_GPU if on_gpu else _ON_CPU


@dataclass(frozen=True)
class Factors:
    """Factors that all weights share in one update."""

    beta1: float
    beta2: float
    clip: float
    size: float
    """Learning rate / (1 - beta1^t)."""
    root: float
    """sqrt(1 - beta2^t)."""
    eps: float
    decay: float
    """Learning rate x weight decay."""


@dataclass(frozen=True)
class SourceBlock:
    """A source's arrays of one block; ``moved`` is empty if nothing is recorded."""

    gradient: list[Tensor]
    moment: list[Tensor]
    moved: list[Tensor]


@dataclass(frozen=True)
class GradientBlock:
    """Pieces of the optimizer's arrays that are updated together; all views."""

    masters: list[Tensor]
    second: list[Tensor]
    decayed: list[Tensor]
    sources: Mapping[str, SourceBlock]

    def total_gradient(self) -> list[Tensor]:
        """Return the sum over sources, in new tensors."""
        first, *others = self.sources.values()
        total = [gradient.clone() for gradient in first.gradient]
        for source in others:
            torch._foreach_add_(total, source.gradient)
        return total

    def update(self, factors: Factors) -> None:
        """Do one update of AdamW, add each source's part to ``moved``, and zero the gradients."""
        total = self.total_gradient()
        torch._foreach_mul_(total, factors.clip)
        torch._foreach_mul_(self.second, factors.beta2)
        torch._foreach_addcmul_(self.second, total, total, value=1 - factors.beta2)
        divisor = torch._foreach_sqrt(self.second)
        torch._foreach_div_(divisor, factors.root)
        torch._foreach_add_(divisor, factors.eps)
        if factors.decay:
            # The factor as the weights' precision has it. 1 - 1e-8 is 1 in fp32: no decay at all.
            kept = float(torch.tensor(1 - factors.decay, dtype=self.masters[0].dtype))
            if self.decayed:
                torch._foreach_add_(self.decayed, self.masters, alpha=kept - 1)
            torch._foreach_mul_(self.masters, kept)
        torch._foreach_zero_(total)  # from here on the sum of the first moments
        for source in self.sources.values():
            torch._foreach_mul_(source.moment, factors.beta1)
            torch._foreach_add_(
                source.moment, source.gradient, alpha=(1 - factors.beta1) * factors.clip
            )
            torch._foreach_add_(total, source.moment)
            if source.moved:
                torch._foreach_addcdiv_(source.moved, source.moment, divisor, value=-factors.size)
            torch._foreach_zero_(source.gradient)
        torch._foreach_addcdiv_(self.masters, total, divisor, value=-factors.size)


class Cutter:
    """Cuts arrays that are shaped alike into the same pieces."""

    def __init__(self, like: Sequence[Tensor]) -> None:
        """Plan the blocks: pieces of tensors, in order, until a block is full."""
        on_cpu = all(tensor.device.type == "cpu" for tensor in like)
        self._blocks = list(_plan(like, block_elements(on_gpu=not on_cpu)))

    def cut(self, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return views of the tensors, block by block; without tensors, as many empty blocks."""
        if not tensors:
            return [[] for _ in self._blocks]
        return [[_piece(tensors[place], piece) for place, piece in block] for block in self._blocks]


_Piece = tuple[int, slice | None]
"""Index of a tensor and the slice of its numbers; None for a whole non-contiguous tensor."""


def _plan(like: Sequence[Tensor], size: int) -> Iterator[list[_Piece]]:
    block: list[_Piece] = []
    room = size
    for place, tensor in enumerate(like):
        first, count = 0, tensor.numel()
        while first < count:
            if room == 0:
                yield block
                block, room = [], size
            if not tensor.is_contiguous():
                block.append((place, None))
                first, room = count, 0
                continue
            length = min(room, count - first)
            block.append((place, slice(first, first + length)))
            first, room = first + length, room - length
    if block:
        yield block


def _piece(tensor: Tensor, piece: slice | None) -> Tensor:
    return tensor if piece is None else tensor.view(-1)[piece]


@dataclass(frozen=True)
class SourceGradient:
    """A source's part of one update's gradient, before clipping."""

    norm: float
    cosine: float
    """Cosine with the sum over all sources; 0 if either is zero."""


@dataclass(frozen=True)
class UpdateReport:
    """The measurements of one update."""

    gradient_norm: float
    """Norm of the sum over sources, before clipping."""
    clip_factor: float
    """Factor on the gradient; 1 if the clip did not act."""
    sources: Mapping[str, SourceGradient]

    def share_of(self, part: SourceGradient) -> float:
        """Return a source's share of the gradient: its relative projection on the whole.

        Shares sum to 1; a source that pulls against the others has a negative share.
        """
        return part.norm * part.cosine / self.gradient_norm if self.gradient_norm > 0 else 0.0


def report_on(
    blocks: Iterable[GradientBlock], clip: float, parameters: Iterable[Tensor]
) -> UpdateReport:
    """Return the report of an update, over all ranks if the ``parameters`` are sharded.

    Args:
        blocks: This rank's gradients, by source.
        clip: The largest global norm.
        parameters: The parameters of the gradients.

    Raises:
        FloatingPointError: if the gradient is not finite, naming the responsible sources.
    """
    blocks = list(blocks)
    names = list(blocks[0].sources)
    products_K = torch.stack([_products(block) for block in blocks]).sum(0)
    square, *products = sum_over_parts(products_K, parameters).tolist()
    norm = math.sqrt(square)
    norms = {name: math.sqrt(own) for name, own in zip(names, products[::2], strict=True)}
    if not math.isfinite(norm):
        guilty = [name for name, own in norms.items() if not math.isfinite(own)]
        raise FloatingPointError(f"{norm}, from {guilty or 'no single source'}")
    sources = {
        name: SourceGradient(own, product / (own * norm) if own * norm > 0 else 0.0)
        for (name, own), product in zip(norms.items(), products[1::2], strict=True)
    }
    return UpdateReport(norm, min(1.0, clip / (norm + 1e-6)), sources)


def _products(block: GradientBlock) -> Tensor:
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
