"""A safetensors file that is written tensor by tensor, so that no process holds all of them.

The format begins with the place of every tensor. Room for that is left at first and filled at the
end; what is left over are spaces, which the format allows.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import torch
from torch import Tensor

from tasks.model.shards import whole
from tasks.platform.ranks import rank

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ENTRY = 256
"""Bytes that are left for a tensor's type, shape and place."""
_LENGTH = 8
_SMALL = 64 << 20
"""Bytes of tensors up to which a file is written again."""


class TensorFile:
    """A file that gets one tensor after the other; it is complete when the context ends."""

    def __init__(
        self,
        file: Path,
        names: Iterable[str],
        metadata: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Begin a file.

        Args:
            file: The file to write.
            names: Every name that a tensor may have.
            metadata: What the header holds beside the tensors.
        """
        self._header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
        room = len(json.dumps(self._header)) + sum(len(json.dumps(n)) + _ENTRY for n in names)
        self._room = -(-room // _LENGTH) * _LENGTH
        self._stream = file.open("w+b")
        self._stream.write(bytes(_LENGTH + self._room))
        self._end = 0

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the header, unless an error left the file unfinished."""
        if kind is None:
            self._complete(json.dumps(self._header, separators=(",", ":")).encode())
        self._stream.close()

    def _complete(self, header: bytes) -> None:
        """Write the header; a small file is written again, without room that is left over."""
        if len(header) > self._room:
            raise RuntimeError(f"the header takes {len(header)} bytes of {self._room}")
        room, data = self._room, b""
        is_small = self._end <= _SMALL
        if is_small:
            room = -(-len(header) // _LENGTH) * _LENGTH
            self._stream.seek(_LENGTH + self._room)
            data = self._stream.read()
        self._stream.seek(0)
        self._stream.write(room.to_bytes(_LENGTH, "little"))
        self._stream.write(header.ljust(room))
        if is_small:
            self._stream.write(data)
            self._stream.truncate()

    def add(self, name: str, tensor: Tensor) -> None:
        """Write a tensor. Larger types come first, so that each lies at a multiple of its size."""
        data = tensor.detach().cpu().contiguous()
        if self._end % data.element_size():
            raise RuntimeError(f"{name} follows a smaller type: add the larger types first")
        size = data.numel() * data.element_size()
        self._header[name] = {
            "dtype": _NAMES[data.dtype],
            "shape": list(data.shape),
            "data_offsets": [self._end, self._end + size],
        }
        self._stream.write(data.reshape(-1).view(torch.uint8).numpy().data)
        self._end += size


def larger_types_first(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of some tensors in an order in which a file takes them."""
    return sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))


def write_whole_tensors(
    file: Path, tensors: Mapping[str, Tensor], precision: torch.dtype | None = None
) -> None:
    """Write tensors whole on the first rank, in a precision if one is given. Collective.

    They are put together and written one by one, so a rank holds no more than one of them whole.
    """
    with TensorFile(file, tensors) if rank() == 0 else nullcontext() as opened:
        for name in larger_types_first(tensors):
            one = whole(tensors[name])
            if opened is not None:
                opened.add(name, one if precision is None else one.to(precision))
