"""Small things that the lineage tests put into a store."""

import json
import struct
from pathlib import Path


def safetensors(payload: bytes = b"\0\0\0\0") -> bytes:
    header = json.dumps(
        {"w": {"dtype": "U8", "shape": [len(payload)], "data_offsets": [0, len(payload)]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + payload


def checkpoint(folder: Path, payload: bytes = b"\1\2\3\4") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    (folder / "model.safetensors").write_bytes(safetensors(payload))
    (folder / "nested").mkdir()
    (folder / "nested" / "notes.txt").write_text("hello")
    return folder
