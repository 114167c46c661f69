"""Files that an earlier verification hashed, and that nothing has written to since.

A verification hashes every blob, which takes long where there are many. On a folder, it leaves a
note of each file's device, inode, size and times for the next one. The kernel sets the change time
at each write, and no program can set it. So a file with other bytes is hashed again, also if its
size and modification time are as before.

The note is no proof. It does not see bytes that went bad on the disk, nor an administrator who
writes past the file system or sets the clock. It is signed with the key of who verified, so that
others can add nothing to it, and a full verification does not believe it.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lineage.digest import digest_bytes, hex_of
from lineage.dsse import SigningKey, parse_envelope, sign
from lineage.errors import LineageError
from lineage.store.blobs import Status
from lineage.store.store import FolderStore, Store, home

Identity = Callable[[Path], tuple[str, str]]
"""Takes a checkpoint's folder, returns the digests of its tokenizer and of its chat template."""

_LOG = logging.getLogger("provost.lineage")
_PAYLOAD_TYPE = "application/vnd.provost.verified+json"
_SETTLED_SECONDS = 2.0
"""Age below which a second write may leave the same times, on disks with coarse ones."""


class Hashed(BaseModel):
    """A file that was hashed, and had the digest of its blob."""

    model_config = ConfigDict(frozen=True)

    status: Status
    at: float
    """Time of the hash, in seconds since 1970."""

    @property
    def size(self) -> int:
        """Return the file's size in bytes."""
        return self.status[2]


class Note(BaseModel):
    """What verifications of one store have found, as one file."""

    store: str
    code: str
    """Version of the code that read the tokenizers."""
    blobs: dict[str, Hashed] = {}
    identities: dict[str, tuple[str, str]] = {}
    """Digests of tokenizer and chat template of a checkpoint, by the checkpoint's digest."""


@dataclass
class Unchanged:
    """The note of a user on one store, and what a verification adds to it."""

    store: Store
    key: SigningKey
    path: Path
    note: Note
    is_believed: bool = True
    """Whether what the note says is taken for true; otherwise it is only renewed."""
    clock: Callable[[], float] = time.time
    is_changed: bool = field(default=False, init=False)

    def find(self, digest: str) -> Hashed | None:
        """Return when a blob was hashed, if its file is as it was then."""
        known = self.note.blobs.get(digest) if self.is_believed else None
        return known if known and known.status == self.status(digest) else None

    def status(self, digest: str) -> Status | None:
        """Return the status of a blob's file; None where the store has none to look at."""
        if not isinstance(self.store, FolderStore):
            return None
        try:
            return self.store.blobs.status(digest)
        except OSError:
            return None

    def add(self, digest: str, before: Status | None) -> None:
        """Note a blob that was right when it was hashed just now, after its status was read."""
        now = self.clock()
        if before is None or before != self.status(digest):
            return
        if max(before[-2:]) / 1e9 < now - _SETTLED_SECONDS:
            self.note.blobs[digest] = Hashed(status=before, at=now)
            self.is_changed = True

    def drop(self, digest: str) -> None:
        """Take a blob that is not right out of the note."""
        self.is_changed |= self.note.blobs.pop(digest, None) is not None

    def identity(self, checkpoint: str, read: Callable[[], tuple[str, str]]) -> tuple[str, str]:
        """Return the digests of a checkpoint's tokenizer and template, from the note if it can.

        They follow from the bytes and the code alone, and the bytes from the checkpoint's digest.
        """
        known = self.note.identities.get(checkpoint) if self.is_believed else None
        if known is None:
            known = self.note.identities[checkpoint] = read()
            self.is_changed = True
        return known

    def save(self) -> None:
        """Write the note, signed. A place that cannot be written costs the next one its time."""
        if not self.is_changed:
            return
        whole = sign(self.note.model_dump_json().encode(), self.key, _PAYLOAD_TYPE).to_bytes()
        unfinished = self.path.with_name(f"{self.path.name}.{hex_of(digest_bytes(whole))[:8]}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(whole)
            unfinished.replace(self.path)
        except OSError as error:
            _LOG.warning("the next verification hashes everything again: %s", error)


def place_of(store: Store) -> Path:
    """Return the file of the note on a store, in the home folder."""
    return home() / "verified" / f"{hex_of(digest_bytes(store.uri.encode()))[:16]}.json"


def read_note(store: Store, key: SigningKey, code: str, path: Path) -> Note:
    """Return the note on a store that a user's key has signed; an empty one for any other.

    ``code`` names the version of the code that reads tokenizers; of the note of another one the
    files are kept alone.
    """
    empty = Note(store=store.uri, code=code)
    try:
        envelope = parse_envelope(path.read_bytes(), str(path))
        note = Note.model_validate_json(envelope.payload)
    except (OSError, LineageError, ValidationError):
        return empty
    if envelope.payload_type != _PAYLOAD_TYPE or not envelope.is_signed_by(key.public):
        return empty
    if note.store != store.uri:
        return empty
    return note if note.code == code else empty.model_copy(update={"blobs": note.blobs})
