"""A plain file copied while it is hashed, and reports of how far a large blob has come."""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from lineage.digest import PREFIX
from lineage.errors import RefusedFileError

ProgressCallback = Callable[[str, int, int], None]
"""Callback with the blob's name (its digest or source file), bytes done, and bytes in total."""


def no_progress(_blob: str, _done: int, _size: int) -> None:
    """Discard the message."""


class Meter:
    """Adds up the bytes of one blob that several threads have moved."""

    def __init__(self, blob: str, size: int, progress: ProgressCallback) -> None:
        """Report on ``blob`` of ``size`` bytes to ``progress``."""
        self._blob, self._size, self._progress = blob, size, progress
        self._done, self._lock = 0, Lock()

    def add(self, count: int) -> None:
        """Add ``count`` bytes and report the sum."""
        with self._lock:
            self._done += count
            self._progress(self._blob, self._done, self._size)


_CHUNK_BYTES = 4 << 20


def copy_file(source: Path, target: Path, progress: ProgressCallback) -> tuple[str, int]:
    """Copy a plain file; return its digest and its size in bytes.

    It stops at the size that the file had when it was opened. Raises RefusedFileError for what is
    no plain file and for one that changes meanwhile.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RefusedFileError(f"{source} is a symlink: copy the file itself") from error
        raise
    hasher = hashlib.sha256()
    with io.FileIO(descriptor) as reader, io.FileIO(target, "xb") as out:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedFileError(f"{source} is not a plain file; remove it from the folder")
        meter = Meter(source.name, status.st_size, progress)

        def took(piece: memoryview) -> None:
            hasher.update(piece)
            meter.add(len(piece))

        size = _pump(reader, out, took, status.st_size)
        if size != status.st_size or reader.read(1):
            raise RefusedFileError(
                f"{source} changed while it was read ({status.st_size} bytes at first): put it "
                "when its writer has closed it",
                code="changed-while-read",
            )
    return PREFIX + hasher.hexdigest(), size


def _pump(
    reader: io.FileIO, out: io.FileIO, update: Callable[[memoryview], None], limit: int
) -> int:
    """Move up to ``limit`` bytes, showing each piece to ``update``; return how many came."""
    buffer = memoryview(bytearray(min(_CHUNK_BYTES, max(limit, 1))))
    moved = 0
    while moved < limit:
        count = reader.readinto(buffer[: min(len(buffer), limit - moved)])
        if not count:
            break
        piece = buffer[:count]
        update(piece)
        while piece:  # an unbuffered write may take less than it was given
            piece = piece[out.write(piece) or 0 :]
        moved += count
    return moved
