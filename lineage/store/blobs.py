"""A folder of blobs under their digests: written whole or not at all, verified when read."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lineage.digest import PREFIX, digest_bytes, digest_file, hex_of, is_digest
from lineage.errors import CorruptError, MissingBlobError
from lineage.store.copying import ProgressCallback, copy_file, no_progress
from lineage.store.scratch import Scratch, full_disk_named, remove

Status = tuple[int, int, int, int, int]
"""Device, inode, size, modification and change time of a file, the times in nanoseconds."""
_YOUNG_SECONDS = 3600.0
"""A blob put again within this time is not touched: its hash stays known to the process."""


class BlobFolder:
    """Blobs as read-only files, ``<root>/ab/cdef...``, one for each digest."""

    def __init__(self, root: Path, scratch: Scratch) -> None:
        """Use the folder ``root``; unfinished files live in ``scratch`` on the same disk.

        The folder must exist before a blob is added.
        """
        self._root = root
        self._root_text = str(root)
        self._scratch = scratch
        self._verified: dict[Status, str] = {}

    def path(self, digest: str) -> Path:
        """Return the path of the blob, whether it exists or not."""
        name = hex_of(digest)
        return self._root / name[:2] / name[2:]

    def has(self, digest: str, size: int | None = None) -> bool:
        """Say whether the blob is there, of ``size`` bytes where that is known.

        Its bytes are not looked at.
        """
        try:
            status = self.path(digest).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return stat.S_ISREG(status.st_mode) and size in {None, status.st_size}

    def status(self, digest: str) -> Status:
        """Return what changes whenever the blob's file is written. Raises OSError without one."""
        name = hex_of(digest)  # a path as an object takes five times as long
        return _key(os.lstat(f"{self._root_text}/{name[:2]}/{name[2:]}"))

    def digests(self) -> Iterator[str]:
        """Yield the digest of every blob. What has no digest's name is passed over."""
        for folder in sorted(self._root.iterdir()):
            if not folder.is_dir():
                continue
            for file in sorted(folder.iterdir()):
                digest = f"{PREFIX}{folder.name}{file.name}"
                if is_digest(digest) and self.path(digest) == file:
                    yield digest

    def ages(self) -> Iterator[tuple[str, int, float]]:
        """Yield each blob's digest, its size in bytes and its age in seconds.

        The clock is the file system's. The age counts from the later of a file's two times: a copy
        that keeps the modification time of its original is as young as it is here.
        """
        now = self._scratch.now()
        for digest in self.digests():
            status = self.path(digest).stat()
            yield digest, status.st_size, now - max(status.st_mtime, status.st_ctime)

    def add_bytes(self, data: bytes) -> str:
        """Store ``data``; return its digest once it is on the disk."""
        digest = digest_bytes(data)
        if not self._touch_existing(digest):
            with self._unfinished() as path:
                with path.open("xb") as file:
                    file.write(data)
                    flush(file.fileno())
                self._publish(path, digest)
        return digest

    def add_file(self, source: Path, progress: ProgressCallback = no_progress) -> tuple[str, int]:
        """Copy ``source`` into the store; return its digest and its size in bytes.

        Raises RefusedFileError when the file is not a plain file or changes while it is read.
        """
        with self._unfinished() as path:
            digest, size = copy_file(source, path, progress)
            if not self._touch_existing(digest):
                with path.open("rb") as file:
                    flush(file.fileno())  # not before: a copy of what is there is thrown away
                self._publish(path, digest)
        return digest, size

    def adopt(self, unfinished: Path, digest: str) -> None:
        """Move a file of this file system into the store, if its bytes have ``digest``.

        Raises CorruptError if the digest differs; the file then stays in its place.
        """
        if digest_file(unfinished) != digest:
            raise CorruptError(
                f"the bytes fetched for {digest} have another digest: they changed in the store "
                "or during transfer. Fetch it again; if that fails too, the store's copy is "
                "damaged"
            )
        with unfinished.open("rb") as file:
            flush(file.fileno())
        self._publish(unfinished, digest)

    def verify(self, digest: str, *, again: bool = False) -> Path:
        """Return the blob's path after its bytes were hashed and match its digest.

        A file is hashed once in a process while its inode, size and times stay the same; ``again``
        hashes it whatever was found before.
        """
        path = self.path(digest)
        if not self.matches(path, digest, again=again):
            raise CorruptError(
                f"{path} no longer has the digest {digest}: its content was changed or damaged. "
                "Restore it from a copy, or put the original again; `provost lineage verify` "
                "lists what descends from it"
            )
        return path

    def matches(self, path: Path, digest: str, *, again: bool = False) -> bool:
        """Say whether the file at ``path`` has ``digest``, hashing it if need be."""
        try:
            status = path.stat(follow_symlinks=False)
        except FileNotFoundError as error:
            raise MissingBlobError(
                f"the store has no {digest} (looked for {path}): it was never put here, or was "
                "collected; run the step that makes it again, or copy it from another store"
            ) from error
        if not stat.S_ISREG(status.st_mode):
            return False
        key = _key(status)
        if again or key not in self._verified:
            self._verified[key] = digest_file(path)
        return self._verified[key] == digest

    def link(self, digest: str, target: Path) -> None:
        """Link a blob to ``target``. A link is a change of the file's status, not of its bytes."""
        path = self.path(digest)
        before = _key(path.stat())
        os.link(path, target)
        after = _key(path.stat())
        if before[:-1] == after[:-1] and self._verified.get(before) == digest:
            self._verified[after] = digest

    def read(self, digest: str) -> bytes:
        """Return the blob's bytes, verified in memory, not only on the disk."""
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            self.verify(digest)
            raise
        if digest_bytes(data) != digest:
            self.verify(digest, again=True)
            raise CorruptError(f"{path} changed while it was read; read it again")
        return data

    def remove(self, digest: str, least_age_seconds: float) -> bool:
        """Remove a blob that is older than that; say whether it is gone."""
        path = self.path(digest)
        # a put that finds the blob makes it young under the lock
        with self._gc_lock(fcntl.LOCK_EX):
            # not ctime: removing a tree's folder unlinks its blobs, which makes no blob young
            if self._scratch.now() - path.stat().st_mtime < least_age_seconds:
                return False
            path.unlink()
        return True

    def _touch_existing(self, digest: str) -> bool:
        """Say whether a blob is there and right; a bad one is replaced by its next put.

        A blob that is put again becomes young again, so that no garbage collection takes it away
        between this put and the record that will name it.
        """
        path = self.path(digest)
        with self._gc_lock(fcntl.LOCK_SH):
            if not path.is_file():
                return False
            now = self._scratch.now()
            if now - path.stat().st_mtime > _YOUNG_SECONDS:
                try:
                    os.utime(path, (now, now))
                except PermissionError:  # another user's: a copy of one's own takes its place
                    return False
        return self.matches(path, digest)

    @contextmanager
    def _gc_lock(self, mode: int) -> Iterator[None]:
        """Hold the lock between those who find a blob and the one who removes it."""
        descriptor = os.open(
            self._root.parent / "gate", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666
        )
        try:
            fcntl.flock(descriptor, mode)
            yield
        finally:
            os.close(descriptor)

    def _publish(self, unfinished: Path, digest: str) -> None:
        target = self.path(digest)
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True)
            flush_folder(self._root)
        unfinished.chmod(0o444)
        unfinished.replace(target)
        flush_folder(target.parent)

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """Give a scratch path that is gone afterwards, and name a full disk as such."""
        path = self._scratch.path()
        try:
            with full_disk_named(self._root):
                yield path
        finally:
            remove(path)


def _key(status: os.stat_result) -> Status:
    """Return what only a write to the file changes; ctime is last, as no program can set it."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def flush(descriptor: int) -> None:
    """Wait until a file's bytes are on the disk."""
    os.fsync(descriptor)


def flush_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> list[Path]:
    """Make a folder and its parents; return those that have a new entry, to be flushed."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
    return [new.parent for new in missing]
