"""Large things to put into S3, and stores that know nothing of what another has put."""

import os
import struct
import uuid
from pathlib import Path

from lineage.s3_store import S3Store
from tests.lineage.making import checkpoint

PART = 5 << 20  # S3 takes no smaller part but the last


def large(folder: Path, size: int = 2 * PART + 1000) -> Path:
    """A checkpoint whose weights need three parts."""
    checkpoint(folder)
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    body = struct.pack("<Q", len(header)) + header + os.urandom(size)
    (folder / "model.safetensors").write_bytes(body)
    return folder


def reopened(store: S3Store, part_bytes: int = PART) -> S3Store:
    """The same bucket as another process finds it."""
    cache = store._partial.parent.parent / uuid.uuid4().hex
    return S3Store(store._bucket, store.uri, cache, part_bytes=part_bytes)
