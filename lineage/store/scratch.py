"""Where a store writes unfinished files: one folder a process, swept when its process has ended.

A lock file is held for as long as a store of the process uses it; ``kill -9`` releases it. So the
next process that opens the store can tell a leftover from a write under way, whatever the clock
says, and across containers that share a volume. A full disk is reported as one.
"""

import errno
import fcntl
import os
import shutil
import threading
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lineage.errors import StoreFullError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The system's error codes for a full disk or quota."""


@contextmanager
def full_disk_named(where: Path) -> Iterator[None]:
    """Raise StoreFullError, which says what to do, for the system's "no space" errors."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StoreFullError(
            f"no space left under {where} ({error.strerror}): this write was discarded. Free "
            "space (`provost lineage gc --delete --grace-hours 2` removes unreachable data, such "
            "as replaced states), or set PROVOST_STORE to a larger disk, then run again; "
            "finished steps are kept"
        ) from error


class Scratch:
    """This process's folder for unfinished files, on the same file system as the store."""

    def __init__(self, root: Path) -> None:
        """Use ``root``, which is made when it is needed. See ``scratch_under``."""
        self._root = root
        self._folder: Path | None = None
        self._owner = 0
        self._claiming = threading.Lock()

    def path(self) -> Path:
        """Return a fresh path for one unfinished file or folder.

        Raises StoreFullError where the disk has no room for the process's folder.
        """
        with self._claiming:
            mine = self._owner == os.getpid()  # a forked child takes its own
            if self._folder is None or not mine or not self._folder.is_dir():
                with full_disk_named(self._root):
                    self._folder = self._claim_folder()
                self._owner = os.getpid()
            return self._folder / uuid.uuid4().hex

    def now(self) -> float:
        """Return the file system's time, in seconds since 1970: that of a folder just touched.

        Ages of files rest on it and not on this machine's clock, which may be days away. It takes
        no space, so that garbage can be collected on a full disk.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        os.utime(self._root)
        return self._root.stat().st_mtime

    def _claim_folder(self) -> Path:
        self._root.mkdir(parents=True, exist_ok=True)
        while True:
            name = uuid.uuid4().hex
            lock = self._root / f"{name}.lock"
            descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # else a sweeper took it before it was locked
                folder = self._root / name
                folder.mkdir()
                weakref.finalize(self, os.close, descriptor)
                return folder
            os.close(descriptor)

    def sweep(self) -> None:
        """Remove files that dead processes left."""
        for lock in self._root.glob("*.lock"):
            try:
                descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            except (FileNotFoundError, PermissionError):
                continue  # another process sweeps too, or it is another user's to sweep
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(self._root / lock.stem)
                lock.unlink(missing_ok=True)
            except BlockingIOError:
                pass  # its process lives
            finally:
                os.close(descriptor)


_IN_USE: weakref.WeakValueDictionary[Path, Scratch] = weakref.WeakValueDictionary()
_FINDING = threading.Lock()


def scratch_under(root: Path) -> Scratch:
    """Return this process's scratch folder under ``root``; nothing is written yet.

    Its lock is released with the last reference, so a process may open any number of stores.
    """
    place = root.resolve()
    with _FINDING:
        found = _IN_USE.get(place)
        if found is None:
            found = _IN_USE[place] = Scratch(place)
        return found


def remove(path: Path) -> None:
    """Remove a file or a folder that may be read-only; a path that is gone is fine."""
    if path.is_dir() and not path.is_symlink():
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o755)  # a read-only folder's entries cannot be removed
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def copy_writable(source: Path, target: Path) -> None:
    """Copy the files of a folder into ``target``, to be changed there: a store's are read-only."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            shutil.copyfile(path, place)
