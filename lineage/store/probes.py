"""Probes of a disk or an S3 server: does it keep a store's promises?

On a disk, hard links, file locks and rename are tried in a folder. Some S3 servers accept
conditional writes but ignore the condition. The registry claims versions by ``If-None-Match: *``
and would lose releases if two writers could win. So the conditions are tested, with real races,
before the store is used.
"""

import errno
import fcntl
import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lineage.errors import StoreFullError, StoreUnfitError, UnreachableError
from lineage.store.s3_answers import UploadedPart
from lineage.store.s3_calls import ForbiddenError
from lineage.store.scratch import FULL, Scratch, full_disk_named, remove

_NOT_MINE = {errno.EROFS, errno.EACCES, errno.EPERM}
_PROVEN: set[tuple[Path, int, int]] = set()
"""Path, device and inode of the folders that this process has tried: an inode is used again."""


@dataclass(frozen=True)
class Probe:
    """One trial of the disk."""

    why: str
    """Why the store needs it."""
    work: Callable[[Path], None]
    """Function that tries it in an empty folder; it raises OSError on failure."""


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


_WRITERS = 8
_ROUNDS = 3
KNOCK_SECONDS = 15.0
"""Seconds to wait for a server's first answer, including name lookup and credentials."""


class Objects(Protocol):
    """The part of lineage.store.s3.Bucket that is probed."""

    def create(self, key: str, data: bytes, claim: str) -> bool:
        """Create an object unless it exists."""

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes."""

    def answers(self) -> None:
        """Raise UnreachableError if the server does not answer."""

    def delete(self, key: str) -> None:
        """Delete an object."""

    def begin(self, key: str) -> str:
        """Begin an upload in parts."""

    def send_part(self, key: str, upload: str, number: int, data: bytes) -> UploadedPart:
        """Send one part of an upload."""

    def complete(self, key: str, upload: str, parts: list[UploadedPart]) -> bool:
        """Complete an upload unless the object exists."""

    def abort(self, key: str, upload: str) -> None:
        """Abort an upload."""


def probe_server(objects: Objects, where: str, knock_seconds: float = KNOCK_SECONDS) -> None:
    """Raise StoreUnfitError unless creation and completion are atomic and exclusive.

    Raises UnreachableError if the server does not answer within ``knock_seconds``.
    """
    _knock(objects, where, knock_seconds)
    for _ in range(_ROUNDS):
        _race(objects, where)
    _completion(objects, where)


def _knock(objects: Objects, where: str, seconds: float) -> None:
    """Try once before the probe: its retries would take minutes to notice a dead server."""
    heard: Future[None] = Future()

    def ask() -> None:
        try:
            objects.answers()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            heard.set_exception(error)
        else:
            heard.set_result(None)

    threading.Thread(target=ask, daemon=True).start()  # the process's end does not wait for it
    try:
        heard.result(seconds)
    except TimeoutError as error:
        raise UnreachableError(
            f"{where} did not answer within {seconds:g} s: check AWS_ENDPOINT_URL, the network and "
            "the credentials' source, and run again"
        ) from error


def _race(objects: Objects, where: str) -> None:
    """Let eight writers create one object at once; one must win, and its bytes must stay."""
    key = f"probe/{uuid.uuid4().hex}"
    bodies = {f"{number}-{uuid.uuid4().hex}": b"writer %d" % number for number in range(_WRITERS)}
    try:
        with ThreadPoolExecutor(_WRITERS) as pool:
            wins = list(pool.map(lambda row: objects.create(key, row[1], row[0]), bodies.items()))
        stands = objects.get(key)
        winners = [body for body, won in zip(bodies.values(), wins, strict=True) if won]
        if winners != [stands]:
            raise _unfit_server(
                where,
                f"{len(winners)} of {_WRITERS} writers of one new object got a success response",
            )
        if objects.create(key, b"late", uuid.uuid4().hex) or objects.get(key) != stands:
            raise _unfit_server(where, "it let a later writer replace an object")
    finally:
        with suppress(ForbiddenError):  # a team may not: the bucket's lifecycle removes it
            objects.delete(key)


def _completion(objects: Objects, where: str) -> None:
    """Complete an upload in parts onto an object that exists; it must be refused."""
    key = f"probe/{uuid.uuid4().hex}"
    upload = ""
    try:
        objects.create(key, b"first", uuid.uuid4().hex)
        upload = objects.begin(key)
        part = objects.send_part(key, upload, 1, b"second")
        if objects.complete(key, upload, [part]) or objects.get(key) != b"first":
            raise _unfit_server(
                where, "it completed an upload in parts over an object that existed"
            )
    finally:
        with suppress(ForbiddenError):
            if upload:
                objects.abort(key, upload)
        with suppress(ForbiddenError):
            objects.delete(key)


def _unfit_server(where: str, what: str) -> StoreUnfitError:
    return StoreUnfitError(
        f"{where} cannot be a store: {what}, although 'If-None-Match: *' forbids it. If two "
        "teams released at once, one version would be lost. Use AWS S3, SeaweedFS, another "
        "server with working conditional writes, or a folder"
    )
