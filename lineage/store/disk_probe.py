"""Does this disk keep a store's promises? Hard links, file locks and rename, tried in a folder."""

import errno
import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lineage.errors import StoreFullError, StoreUnfitError
from lineage.store.full_disk import FULL, full_disk_named
from lineage.store.scratch import Scratch, remove

_NOT_MINE = {errno.EROFS, errno.EACCES, errno.EPERM}
_PROVEN: set[tuple[Path, int, int]] = set()
"""Path, device and inode of the folders that this process has tried: an inode is used again."""


@dataclass(frozen=True)
class Probe:
    """One trial of the disk."""

    why: str
    """What the store needs it for."""
    work: Callable[[Path], None]
    """Tries it in an empty folder; OSError where it does not work."""


def make_writable(root: Path, folders: tuple[str, ...], scratch: Scratch) -> bool:
    """Make a store's folders where they are missing; say whether this user can write there.

    The disk is tried once in a process. Raises StoreUnfitError if the root is not a folder or
    cannot be created, and if the disk lacks hard links, locks or rename.
    """
    try:
        with full_disk_named(root):
            for folder in folders:
                (root / folder).mkdir(parents=True, exist_ok=True)
            scratch.sweep()
            _prove(root, scratch)
    except StoreFullError:
        return True  # each write says so; reading and collecting garbage work
    except OSError as error:
        if error.errno in _NOT_MINE and root.is_dir():
            return False
        raise _no_place(root, str(error)) from error
    return True


def can_be_made(root: Path) -> bool:
    """Return True if a store may be made at ``root``, where none is yet. Nothing is written.

    Raises StoreUnfitError where the nearest folder that exists is a file, or not writable.
    """
    place = root
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise _no_place(root, f"{place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise _no_place(root, f"this user cannot write in {place}")
    return True


def _no_place(root: Path, why: str) -> StoreUnfitError:
    at_home = root == Path(os.environ.get("PROVOST_HOME") or "runs").absolute() / "store"
    variable = "PROVOST_HOME" if at_home and "PROVOST_STORE" not in os.environ else "PROVOST_STORE"
    return StoreUnfitError(
        f"{root} cannot be a store ({why}): set {variable} to a writable folder on a disk with "
        "hard links and locks"
    )


def read_only(uri: str) -> StoreUnfitError:
    """Return the error of a store that can be read and not written."""
    return StoreUnfitError(
        f"{uri} is read-only for this user; only reading and verifying work. To write, use an "
        "account with write access, or set PROVOST_STORE to another store"
    )


def _prove(root: Path, scratch: Scratch) -> None:
    """Try the disk under ``root`` unless this process has done so."""
    status = root.stat()
    place = (root.resolve(), status.st_dev, status.st_ino)
    if place in _PROVEN:
        return
    trial = scratch.path()
    try:
        for number, (name, probe) in enumerate(PROBES.items()):
            folder = trial / str(number)
            folder.mkdir(parents=True)
            try:
                probe.work(folder)
            except OSError as error:
                if error.errno in FULL:
                    raise
                raise _unfit(root, name, probe.why, error) from error
    finally:
        remove(trial)
    _PROVEN.add(place)


def _unfit(root: Path, name: str, why: str, error: OSError) -> StoreUnfitError:
    return StoreUnfitError(
        f"{root} cannot be used as a writable store: its disk has no working {name} ({error}), "
        f"and {why}. Set PROVOST_STORE to a folder on a disk or a file server that offers them"
    )


def _link(folder: Path) -> None:
    (folder / "a").write_bytes(b"first")
    os.link(folder / "a", folder / "b")
    try:
        os.link(folder / "a", folder / "b")
    except FileExistsError:
        return
    raise OSError("a second link under one name was accepted")


def _lock(folder: Path) -> None:
    path = folder / "lock"
    first = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    second = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        raise OSError("two holders got one exclusive lock")
    finally:
        os.close(second)
        os.close(first)


def _rename(folder: Path) -> None:
    (folder / "new").write_bytes(b"new")
    (folder / "old").write_bytes(b"old")
    (folder / "new").rename(folder / "old")
    if (folder / "old").read_bytes() != b"new":
        raise OSError("a rename did not replace the file")


PROBES = {
    "hard links": Probe("versions, moves and recalls are claimed by a hard link, once", _link),
    "file locks": Probe("garbage collection and unfinished writes rest on file locks", _lock),
    "rename": Probe("a blob appears whole because rename replaces a file at once", _rename),
}
