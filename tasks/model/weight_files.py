"""Safetensors files: what they hold, and their tensors as views of the mapped file."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tasks.contracts.refusal import RefusedError


def read_header(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of each tensor of a safetensors file.

    Raises:
        ValueError: if the file is not a safetensors file, or is truncated.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            return {n: (s.get_dtype(), tuple(s.get_shape())) for n, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise RefusedError(
            "broken-safetensors",
            f"{file} cannot be read as safetensors ({error}): fetch the checkpoint again",
        ) from error


def map_file(file: Path) -> dict[str, Tensor]:
    """Return a safetensors file's tensors as views of the mapped file; nothing is copied."""
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def refuse_non_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError naming a tensor with a NaN or an infinity.

    One pass without a temporary: minimum and maximum of a tensor are NaN if any number is.
    """
    bad = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if bad:
        raise RefusedError(
            "not-finite",
            f"{len(bad)} of {len(tensors)} weight tensors hold NaN or infinity, {bad[0]} among "
            "them: the checkpoint was damaged or its training diverged; release an earlier rung",
        )


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    low, high = torch.aminmax(tensor.float() if tensor.itemsize == 1 else tensor)
    return bool(torch.isfinite(low) & torch.isfinite(high))
