"""The size of a segment and the seconds to write and read it: as it is, and packed."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tasks.ledger.reader import Ledger
from tasks.ledger.segment_file import SegmentFile, write_segment

MIB = 1 << 20


def segment_cost(ledger: Ledger, start: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the cost of a ledger's first segment in both formats; all bits are compared."""
    walked = next(ledger.walk(start))
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder, "plain.safetensors"), Path(folder, "packed.safetensors")
        began = time.perf_counter()
        save_file(
            {
                f"{part}/{name}": tensor.contiguous()
                for part, moved in walked.parts.items()
                for name, tensor in moved.items()
            },
            plain,
        )
        plain_written = time.perf_counter() - began
        began = time.perf_counter()
        write_segment(packed, walked.parts, walked.start, walked.end)
        packed_written = time.perf_counter() - began
        began = time.perf_counter()
        expected = {key: tensor.clone() for key, tensor in load_file(plain).items()}
        plain_read = time.perf_counter() - began
        file, exact, packed_read = SegmentFile(packed, list(walked.parts)), True, 0.0
        for name, tensor in walked.start.items():
            began = time.perf_counter()
            parts, end = file.parts_of(name, tensor)
            packed_read += time.perf_counter() - began
            exact &= torch.equal(_bits(end), _bits(walked.end[name]))
            for part, moved in parts.items():
                exact &= torch.equal(_bits(moved), _bits(expected[f"{part}/{name}"]))
        return {
            "parts": len(walked.parts),
            "bit_for_bit": exact,
            "plain_mib": round(plain.stat().st_size / MIB, 1),
            "packed_mib": round(packed.stat().st_size / MIB, 1),
            "plain_write_seconds": round(plain_written, 2),
            "packed_write_seconds": round(packed_written, 2),
            "plain_read_seconds": round(plain_read, 2),
            "packed_read_seconds": round(packed_read, 2),
        }


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.int32)
