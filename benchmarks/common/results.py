"""Result files: JSON that is written whole, so that a killed run leaves the earlier one.

A name that ends in ``.gz`` is compressed: raw rows, from which a summary beside them is made. What
a checkout with changes measures is no result: it becomes a draft in ``runs/drafts``.
"""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import kept_at

_WIDTH = 100
Row = dict[str, Any]
"""One row of a result file, as JSON: each benchmark knows the keys of its own."""


_READ: ContextVar[dict[Path, Row] | None] = ContextVar("read", default=None)


@contextmanager
def noted_reads() -> Iterator[dict[Path, Row]]:
    """Yield the files that are loaded meanwhile, with their content."""
    read: dict[Path, Row] = {}
    token = _READ.set(read)
    try:
        yield read
    finally:
        _READ.reset(token)


def load(path: Path, empty: Row) -> Row:
    """Return a file's content, or ``empty`` before the first run."""
    if not path.exists():
        return empty
    data = path.read_bytes()
    found: Row = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    if (read := _READ.get()) is not None:
        read[path] = found
    return found


def as_text(content: object) -> str:
    """Return JSON in lines of up to 100 characters where an entry allows it."""
    return _laid_out(content, 0) + "\n"


def _laid_out(value: object, depth: int) -> str:
    flat = json.dumps(value)
    if not isinstance(value, dict | list) or depth + len(flat) <= _WIDTH:
        return flat
    entries = [f"{json.dumps(str(key))}: " if isinstance(value, dict) else "" for key in value]
    parts = value.values() if isinstance(value, dict) else value
    margin = " " * (depth + 1)
    lines = [
        f"{margin}{name}{_laid_out(part, depth + 1)}"
        for name, part in zip(entries, parts, strict=True)
    ]
    start, end = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return "\n".join([start, ",\n".join(lines), f"{' ' * depth}{end}"])


def write_whole(path: Path, content: object) -> None:
    """Write a file that others see whole or not at all; the same content gives the same bytes."""
    data, path = as_text(content).encode(), kept_at(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    part.replace(path)
