"""Result files: JSON that is written whole, so that a killed run leaves the earlier one.

A name that ends in ``.gz`` is compressed: raw rows, from which a summary beside them is made.
"""

import gzip
import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]
"""One row of a result file, as JSON: each benchmark knows the keys of its own."""


def load(path: Path, empty: Row) -> Row:
    """Return a file's content, or ``empty`` before the first run."""
    if not path.exists():
        return empty
    data = path.read_bytes()
    found: Row = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    return found


def write_whole(path: Path, content: object) -> None:
    """Write a file that others see whole or not at all; the same content gives the same bytes."""
    data = f"{json.dumps(content, indent=1)}\n".encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    part.replace(path)
