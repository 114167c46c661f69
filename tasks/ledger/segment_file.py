"""One segment of a ledger as a file: every part's displacement of each parameter.

What follows from conservation is not stored. A segment's last weights are the nearest fp32 numbers
to its first weights and all displacements, but for a few units in the last place. These few units
are stored, and give the last weights to the bit. The rounding is what the other parts leave of the
change. An array of zeros is not stored either.

A file from before this (``provost.ledger/1``) holds every part as it is.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open
from torch import Tensor

from tasks.ledger.planes import is_zero, pack, pack_integers, unpack, unpack_integers
from tasks.ledger.rounding import rest_of_change
from tasks.ledger.schema import StoredPrecision
from tasks.ledger.split_adamw import ROUNDING
from tasks.ledger.tensor_file import TensorFile

_ABOUT, _FORMAT = "segment", "planes/1"
DTYPES = {StoredPrecision.FP32: torch.float32, StoredPrecision.BF16: torch.bfloat16}
_UNITS = "units in the last place"
Parts = Mapping[str, Mapping[str, Tensor]]
"""Part to parameter to its displacement, on the CPU."""


class SegmentWriter:
    """A segment's file, written parameter by parameter; all parts are fp32 or all bf16."""

    def __init__(
        self,
        file: Path,
        parts: Sequence[str],
        shapes: Mapping[str, Sequence[int]],
        precision: torch.dtype,
        *,
        exact: bool,
    ) -> None:
        """Begin a file.

        Args:
            file: The file to write.
            parts: Names of the parts.
            shapes: Shape of each parameter.
            precision: Precision of the parts.
            exact: Whether the weights are fp32, so that the last ones can follow to the bit.
        """
        follows = [ROUNDING] if exact and precision is torch.float32 and ROUNDING in parts else []
        self._stored = [part for part in parts if part not in follows]
        self._exact = exact
        about = {
            "format": _FORMAT,
            "precision": next(str(name) for name, own in DTYPES.items() if own is precision),
            "follows": follows,
            "shapes": {name: list(shape) for name, shape in shapes.items()},
        }
        # As one entry: several might come in any order, and the same run has the same bytes.
        metadata = {_ABOUT: json.dumps(about)}
        keys = (f"{part}/{name}" for part in (*self._stored, _UNITS) for name in shapes)
        self._file = TensorFile(file, keys, metadata)

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401 - as the file's own
        """Complete the file."""
        self._file.__exit__(*error)

    def add(self, name: str, parts: Mapping[str, Tensor], start: Tensor, end: Tensor) -> None:
        """Write every part's displacement of a parameter, as it is stored.

        Args:
            name: The parameter.
            parts: The parts by name.
            start: The weights before the segment.
            end: The weights after it.
        """
        for part in self._stored:
            if not is_zero(parts[part]):
                self._file.add(f"{part}/{name}", pack(parts[part]))
        if self._exact:
            nearest = _nearest(start, (parts[part] for part in self._stored))
            units = _bits(end) - _bits(nearest)
            if bool(units.any()):
                self._file.add(f"{_UNITS}/{name}", pack_integers(units))


def write_segment(
    file: Path, parts: Parts, start: Mapping[str, Tensor], end: Mapping[str, Tensor]
) -> None:
    """Write a segment's parts, all fp32 or all bf16, and its last weights.

    Args:
        file: The file to write.
        parts: The parts as they are stored; all have the same parameters and precision.
        start: The weights before the segment.
        end: The weights after it.
    """
    first = next(iter(parts.values()))
    writer = SegmentWriter(
        file,
        list(parts),
        {name: tensor.shape for name, tensor in first.items()},
        next(iter(first.values())).dtype,
        exact=all(tensor.dtype is torch.float32 for tensor in end.values()),
    )
    with writer:
        for name in first:
            moved = {part: tensors[name] for part, tensors in parts.items()}
            writer.add(name, moved, start[name], end[name])


class SegmentFile:
    """A segment's file, read parameter by parameter; of either format."""

    def __init__(self, file: Path, parts: Sequence[str]) -> None:
        """Open it; ``parts`` are the parts that the manifest names."""
        self._file = safe_open(file, framework="pt")
        self._held = set(self._file.keys())
        about = json.loads((self._file.metadata() or {}).get(_ABOUT, "{}"))
        self._packed = about.get("format") == _FORMAT
        self._parts = list(parts)
        self._follows: list[str] = []
        if self._packed:
            self._follows = about["follows"]
            self._shapes: dict[str, list[int]] = about["shapes"]
            self._precision = DTYPES[StoredPrecision(about["precision"])]

    def names(self, part: str) -> Iterator[str]:
        """Yield the parameters of a part."""
        if self._packed:
            yield from self._shapes
            return
        prefix = f"{part}/"
        yield from (key.removeprefix(prefix) for key in self._held if key.startswith(prefix))

    def stored(self, part: str, name: str) -> Tensor:
        """Return a part's displacement of one parameter in fp32, of a part that is stored."""
        assert part not in self._follows, f"{part} follows from the weights: ask for parts_of"
        key = f"{part}/{name}"
        if not self._packed:
            tensor: Tensor = self._file.get_tensor(key)
            return tensor.float()
        if key not in self._held:
            return torch.zeros(self._shapes[name])
        packed = self._file.get_tensor(key)
        return unpack(packed, self._precision, self._shapes[name]).float()

    def parts_of(self, name: str, start: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return every part's displacement of a parameter, and its weights after the segment.

        ``start`` are its weights before the segment. The weights after it are exact; in an older
        file they are the sum of all parts in fp32.
        """
        parts = {p: self.stored(p, name) for p in self._parts if p not in self._follows}
        if not self._packed:
            return parts, start + torch.stack(list(parts.values())).sum(0)
        end = _nearest(start, parts.values())
        key = f"{_UNITS}/{name}"
        if key in self._held:
            units = unpack_integers(self._file.get_tensor(key), self._shapes[name])
            end = (_bits(end) + units).view(torch.float32)
        if self._follows:
            parts[ROUNDING] = rest_of_change(start, end, list(parts.values()))
        return parts, end


def _nearest(start: Tensor, moved: Iterable[Tensor]) -> Tensor:
    """Return the fp32 numbers nearest to some weights and all their displacements."""
    total = start.double()
    for tensor in moved:
        total = total + tensor.double()
    return total.float()


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.int32)
