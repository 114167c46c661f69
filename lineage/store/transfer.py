"""Large blobs to and from S3: in parts, several at once, going on where a killed run stopped.

Upload: S3 keeps the parts of an unfinished upload; a rerun sends only those that are missing or
have another checksum. Download: parts go to one file, and a journal lists the finished ones.
"""

import fcntl
import os
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from hashlib import md5
from pathlib import Path
from typing import Protocol

from lineage.errors import CorruptError
from lineage.store.s3_answers import UploadedPart, checksum
from lineage.store.scratch import remove

PART_BYTES = 16 << 20
MAX_PARTS = 10_000
"""S3's limit on the parts of an upload."""
_THREADS = 8
_TRIES = 3

Progress = Callable[[int], None]
"""Callback with the number of bytes just finished."""


class Remote(Protocol):
    """The part of lineage.store.s3.Bucket that is used here."""

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a range of an object's bytes."""

    def begin(self, key: str) -> str:
        """Begin an upload, or find one that was cut off."""

    def parts(self, key: str, upload: str) -> dict[int, UploadedPart]:
        """Return the parts that S3 has, by number."""

    def send_part(self, key: str, upload: str, number: int, data: bytes) -> UploadedPart:
        """Send one part of an upload."""

    def complete(
        self, key: str, upload: str, parts: list[UploadedPart], *, replace: bool = False
    ) -> bool:
        """Make the parts one object."""


@dataclass(frozen=True)
class Piece:
    """Bytes ``start`` to ``stop`` of a file, as part ``number`` (from 1)."""

    number: int
    start: int
    stop: int


def pieces(size: int, part_bytes: int = PART_BYTES) -> list[Piece]:
    """Return the parts of a file of ``size`` bytes; larger parts where there would be too many."""
    step = max(part_bytes, -(-size // MAX_PARTS))
    starts = range(0, size, step)
    return [Piece(place + 1, at, min(at + step, size)) for place, at in enumerate(starts)]


def composite(source: Path, part_bytes: int) -> tuple[str, int]:
    """Return the checksum that S3 keeps of a file sent in parts, in base64, and their number."""
    todo = pieces(source.stat().st_size, part_bytes)
    return _composite([checksum(_read(source, piece)) for piece in todo])


def _composite(checksums: list[str]) -> tuple[str, int]:
    return checksum(b"".join(b64decode(one) for one in checksums)), len(checksums)


def upload(
    remote: Remote,
    key: str,
    source: Path,
    part_bytes: int,
    progress: Progress,
    *,
    replace: bool = False,
) -> tuple[str, int] | None:
    """Send a file as the object ``key`` unless it exists by the end, or ``replace`` it.

    Return the checksum that S3 should keep and the number of parts, None where others were faster.
    """
    for _ in range(_TRIES):
        try:
            parts, number = _send_parts(remote, key, source, part_bytes, progress)
            remote.complete(key, number, parts, replace=replace)
        except KeyError:  # another writer of the same bytes completed or gave up this upload
            continue
        return _composite([part.checksum for part in parts])
    return None


def _send_parts(
    remote: Remote, key: str, source: Path, part_bytes: int, progress: Progress
) -> tuple[list[UploadedPart], str]:
    """Send what S3 lacks of an upload; return all its parts and the upload."""
    todo = pieces(source.stat().st_size, part_bytes)
    number = remote.begin(key)
    there = remote.parts(key, number)

    def send(piece: Piece) -> UploadedPart:
        data = _read(source, piece)
        known = there.get(piece.number)
        progress(len(data))
        if known is not None and _is_same(known, data):
            return changed(known, checksum=checksum(data))
        return remote.send_part(key, number, piece.number, data)

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(send, todo)), number


def download(remote: Remote, key: str, size: int, target: Path, progress: Progress) -> None:
    """Fetch an object of ``size`` bytes into ``target``, keeping what an earlier try fetched.

    Two processes that want one object take turns, and the second finds it done.
    """
    journal = target.with_name(f"{target.name}.done")
    with target.open("ab"):  # create it, keep what is there
        os.truncate(target, size)
    done = _done(journal)
    with journal.open("ab", buffering=0) as log, target.open("r+b", buffering=0) as file:

        def fetch(piece: Piece) -> None:
            if (piece.start, piece.stop) not in done:
                data = remote.get_range(key, piece.start, piece.stop)
                os.pwrite(file.fileno(), data, piece.start)
                log.write(b"%d %d\n" % (piece.start, piece.stop))
            progress(piece.stop - piece.start)

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fetch, pieces(size)))


def forget(target: Path) -> None:
    """Remove a fetched file and its journal."""
    remove(target)
    remove(target.with_name(f"{target.name}.done"))


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold a lock file within this context; a dead process holds none."""
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_same(part: UploadedPart, data: bytes) -> bool:
    """Say whether S3 has these bytes as a part, by its checksum or, without one, its MD5 tag.

    The tag only saves sending; whether the object is right is checked by SHA-256 when it is read.
    """
    if part.size != len(data):
        return False
    if part.checksum:
        return part.checksum == checksum(data)
    return part.etag.strip('"') == md5(data, usedforsecurity=False).hexdigest()


def _read(source: Path, piece: Piece) -> bytes:
    with source.open("rb") as file:
        file.seek(piece.start)
        data = file.read(piece.stop - piece.start)
    if len(data) != piece.stop - piece.start:
        raise CorruptError(
            f"{source} shrank during the upload; put it after its writer has closed it"
        )
    return data


def _done(journal: Path) -> set[tuple[int, int]]:
    """Return the parts that a journal lists; a line that was cut off does not count."""
    if not journal.is_file():
        return set()
    lines = journal.read_bytes().split(b"\n")[:-1]
    numbers = (line.split() for line in lines)
    return {(int(row[0]), int(row[1])) for row in numbers if len(row) == 2}
