"""What a GPU of a flavor offers, by its accelerator label.

The numbers are those of NVIDIA's data sheets, SXM, without sparsity. Memory is what torch shows of
the card, which is less than the data sheet says. None of them was measured on a node of eight.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_GIB = 1 << 30


@dataclass(frozen=True)
class Gpu:
    """One GPU of a node."""

    memory: int
    """Bytes that torch shows."""
    operations_per_second: float
    """Dense bf16."""
    memory_bytes_per_second: float
    node_bytes_per_second: float
    """Speed to the other GPUs of its node, in one direction: NVLink."""
    network_bytes_per_second: float
    """Speed to other nodes: one adapter of 400 Gbit/s for each GPU."""


RESERVED = 4 * _GIB
"""Bytes of a GPU that tensors cannot have: CUDA's context, NCCL's buffers, and gaps between blocks.
Ours, not measured on several GPUs."""
GPUS: Mapping[str, Gpu] = {
    "nvidia-h100": Gpu(79 * _GIB, 989e12, 3.35e12, 450e9, 50e9),
    "nvidia-h200": Gpu(139 * _GIB, 989e12, 4.8e12, 450e9, 50e9),
}
