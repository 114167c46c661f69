"""A folder's safetensors: what they hold, their tensors as views of the files, a read ahead."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

_ADVICE_BYTES = 128 << 10
"""The kernel cuts each advice to the device's readahead window, which is seldom smaller."""
_OF_NO_CONSEQUENCE = frozenset({"_name_or_path", "transformers_version"})

Header = Mapping[str, tuple[str, tuple[int, ...]]]
"""Tensor name to type and shape."""


class Checkpoint:
    """The config and the weight files of a Hugging Face folder. Only headers are read at first."""

    def __init__(self, folder: Path) -> None:
        """Read config and headers.

        Raises:
            ValueError: if there is no config, no safetensors, or a broken header.
        """
        self.folder = folder
        self.config = _read_config(folder)
        self.files = _weight_files(folder)
        self._stamps = [_stamp(file) for file in self.files]
        self.header: Header = {
            name: entry for file in self.files for name, entry in read_header(file).items()
        }

    @property
    def num_bytes(self) -> int:
        """Bytes of the weight files."""
        return sum(size for size, _ in self._stamps)

    @property
    def architecture(self) -> str:
        """What two checkpoints share exactly if one's tensors fit where the other's were."""
        config = {k: v for k, v in self.config.items() if k not in _OF_NO_CONSEQUENCE}
        return json.dumps([config, sorted(self.header.items())], sort_keys=True)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor as a view of its file, which stays mapped as long as one lives.

        Raises:
            RuntimeError: if a file is no longer the one that was checked.
        """
        if [_stamp(file) for file in self.files] != self._stamps:
            raise RuntimeError(
                f"the weights in {self.folder} were changed while a run was using them: start the "
                "run again with a checkpoint that nobody writes to"
            )
        return {name: tensor for file in self.files for name, tensor in map_file(file).items()}

    def read_ahead(self) -> None:
        """Ask the kernel to bring the files into its page cache; needs none of our own memory."""
        for file, (size, _) in zip(self.files, self._stamps, strict=True):
            descriptor = os.open(file, os.O_RDONLY)
            try:
                for first in range(0, size, _ADVICE_BYTES):
                    os.posix_fadvise(descriptor, first, _ADVICE_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)


def read_header(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of each tensor of a safetensors file.

    Raises:
        ValueError: if the file is no safetensors file, or is cut short.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            return {n: (s.get_dtype(), tuple(s.get_shape())) for n, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{file} cannot be read as safetensors ({error}): fetch the checkpoint again"
        ) from error


def map_file(file: Path) -> dict[str, Tensor]:
    """Return a safetensors file's tensors as views of the mapped file; nothing is copied."""
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def refuse_non_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError that names the tensors with a NaN or an infinity.

    One pass without a temporary: the least and the largest number of a tensor are NaN where any is.
    """
    bad = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if bad:
        raise ValueError(
            f"{len(bad)} of {len(tensors)} weight tensors hold NaN or infinity, {bad[0]} among "
            "them: the checkpoint was damaged or its training diverged; release an earlier rung"
        )


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    low, high = torch.aminmax(tensor.float() if tensor.itemsize == 1 else tensor)
    return bool(torch.isfinite(low) & torch.isfinite(high))


def _read_config(folder: Path) -> dict[str, object]:
    file = folder / "config.json"
    if not file.is_file():
        raise ValueError(
            f"{folder} has no config.json, so it is no Hugging Face model: give the folder that "
            "holds config.json and safetensors, and for a LoRA adapter its base as well"
        )
    config: dict[str, object] = json.loads(file.read_text("utf-8"))
    return config


def _weight_files(folder: Path) -> list[Path]:
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise ValueError(
            f"{folder} has no model.safetensors and no index of shards: save the model with "
            "save_pretrained; pickled weights are never read"
        )
    names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise ValueError(
            f"{folder} lacks {absent} of its {len(names)} weight files: fetch the checkpoint again"
        )
    return [folder / name for name in names]


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns
