"""Blobs as objects of a bucket. A put returns only after the server says it has the right bytes.

The server's word is the SHA-256 that it keeps with an object: of the whole, or of the parts'
checksums where the object came in parts. Where it keeps none, or one over other parts, the object
is read back and hashed.
"""

import time
import uuid
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from lineage.digest import digest_bytes, digest_file, hex_of
from lineage.errors import CorruptError, MissingBlobError
from lineage.full_disk import full_disk_named
from lineage.lately import Lately
from lineage.s3 import Bucket, ForbiddenError
from lineage.s3_answers import ObjectState
from lineage.scratch import Scratch
from lineage.telling import Meter, Tell
from lineage.transfer import composite, download, forget, upload

YOUNG_SECONDS = 3600.0
"""A blob put again within this time is not touched: the garbage collection leaves it alone."""
_PUT_SECONDS = 300.0
"""How long a process believes its own put. With YOUNG_SECONDS well under the least grace period."""
_SEEN_SECONDS = 60.0
_DOOMED_SECONDS = 300.0


@dataclass(frozen=True)
class Body:
    """Bytes to be put, or the file that holds them, with their digest and size."""

    source: bytes | Path
    digest: str
    size: int

    def read(self) -> bytes:
        """Return the bytes."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


def body_of(source: bytes | Path) -> Body:
    """Return ``source`` as a body."""
    if isinstance(source, bytes):
        return Body(source, digest_bytes(source), len(source))
    return Body(source, digest_file(source), source.stat().st_size)


class BlobObjects:
    """The blobs of one bucket."""

    def __init__(
        self, bucket: Bucket, uri: str, scratch: Scratch, part_bytes: int, tell: Tell
    ) -> None:
        """Keep blobs in ``bucket``, the store ``uri``; larger ones go up in parts."""
        self._bucket = bucket
        self._uri = uri
        self._scratch = scratch
        self._part_bytes = part_bytes
        self._tell = tell
        self._put = Lately(_PUT_SECONDS)
        self._seen = Lately(_SEEN_SECONDS)

    def put(self, body: Body) -> None:
        """Create a blob unless it is there; replace an object that has other bytes.

        Raises CorruptError where other bytes stand there and this role may not replace them, or
        where the server does not have what it acknowledged.
        """
        if body.digest in self._put:
            return
        state = self._standing(body.digest)
        if state is None or not self._is_right(state, body):
            sent = self._send(body, replace=state is not None)
            state = self._bucket.head(blob_key(body.digest))
            if state is None or not self._is_right(state, body, sent):
                raise CorruptError(
                    f"{self._uri} acknowledged {body.digest} but does not have its {body.size} "
                    "bytes; put it again, and distrust the server if it recurs"
                )
        self._put.add(body.digest)

    def has(self, digest: str, size: int | None = None) -> bool:
        """Say whether a blob is there, of ``size`` bytes where that is known."""
        name = f"{digest} {size}"
        if digest in self._put or name in self._seen:
            return True
        state = self._bucket.head(blob_key(digest))
        if state is None or size not in {None, state.size}:
            return False
        if not state.parts and state.checksum not in {"", _checksum_of(digest)}:
            return False
        self._seen.add(name)
        return True

    def starts_with(self, digest: str, start: bytes) -> bool:
        """Say whether a blob that is there begins with ``start``."""
        state = self._bucket.head(blob_key(digest))
        if state is None or state.size < len(start):
            return False
        return self._bucket.get_range(blob_key(digest), 0, len(start)) == start

    def read(self, digest: str) -> bytes:
        """Return a blob's bytes, verified. Raises MissingBlobError or CorruptError."""
        data = self._bucket.get(blob_key(digest))
        if data is None:
            raise self.missing(digest)
        if digest_bytes(data) != digest:
            raise self.corrupt(digest)
        return data

    def check(self, digest: str) -> int:
        """Hash an object; return its size. Raises MissingBlobError or CorruptError."""
        state = self._bucket.head(blob_key(digest))
        if state is None:
            raise self.missing(digest)
        if not self._hashes_to(digest, state.size):
            raise self.corrupt(digest)
        return state.size

    def remove(self, digest: str, least_age_seconds: float) -> bool:
        """Remove a blob unless it is younger than that; say whether it is gone.

        S3 has no lock, so remover and writers announce themselves: the remover marks the blob as
        doomed and then looks for a fresh touch; a writer touches it and then looks for the mark.
        One of them sees the other.
        """
        doomed, touched = f"doomed/{hex_of(digest)}", f"touched/{hex_of(digest)}"
        self._bucket.put(doomed, b"")
        try:
            states = [self._bucket.head(key) for key in (blob_key(digest), touched)]
            if any(state and state.age_seconds < least_age_seconds for state in states):
                return False
            self._bucket.delete(blob_key(digest))
            self._bucket.delete(touched)
            self._put.discard(digest)
            self._seen = Lately(_SEEN_SECONDS)
        finally:
            self._bucket.delete(doomed)
        return True

    def missing(self, digest: str) -> MissingBlobError:
        """Return the error of a blob that is not there."""
        return MissingBlobError(
            f"{self._uri} has no {digest}: it was never put there, or was collected; run the step "
            "that makes it again, or copy it from another store"
        )

    def corrupt(self, digest: str) -> CorruptError:
        """Return the error of an object that has other bytes than its digest says."""
        return CorruptError(
            f"{self._uri} has other bytes at {blob_key(digest)} than {digest}: someone changed the "
            "object, or put another one there. Put the original again; where this role may not "
            "replace it, a maintainer deletes it first. `provost lineage verify` names what rests "
            "on it"
        )

    def _standing(self, digest: str) -> ObjectState | None:
        """Return what is there, and keep the garbage collection off it for a while."""
        state = self._bucket.head(blob_key(digest))
        if state is None or state.age_seconds <= YOUNG_SECONDS:
            return state
        self._bucket.put(f"touched/{hex_of(digest)}", b"")
        self._wait_while_doomed(digest)
        return self._bucket.head(blob_key(digest))

    def _wait_while_doomed(self, digest: str) -> None:
        while True:
            mark = self._bucket.head(f"doomed/{hex_of(digest)}")
            if mark is None or mark.age_seconds > _DOOMED_SECONDS:  # its remover died
                return
            time.sleep(0.2)

    def _is_right(
        self, state: ObjectState, body: Body, sent: tuple[str, int] | None = None
    ) -> bool:
        """Say whether an object has the bytes of ``body``, just ``sent`` with that checksum."""
        if state.size != body.size:
            return False
        if state.checksum and not state.parts:
            return state.checksum == _checksum_of(body.digest)
        if state.checksum and isinstance(body.source, Path):
            expected = sent or composite(body.source, self._part_bytes)
            if (state.checksum, state.parts) == expected:
                return True
        return self._hashes_to(body.digest, state.size)

    def _hashes_to(self, digest: str, size: int) -> bool:
        """Read an object into a scratch file and hash it."""
        path = self._scratch.path()
        try:
            with full_disk_named(path.parent):
                download(self._bucket, blob_key(digest), size, path, lambda _: None)
            return digest_file(path) == digest
        finally:
            forget(path)

    def _send(self, body: Body, *, replace: bool) -> tuple[str, int] | None:
        """Send a body; return the checksum over its parts where it went up in parts."""
        try:
            return self._send_to(blob_key(body.digest), body, replace=replace)
        except ForbiddenError as error:
            if not replace:
                raise
            raise self.corrupt(body.digest) from error

    def _send_to(self, key: str, body: Body, *, replace: bool) -> tuple[str, int] | None:
        meter = Meter(body.digest, body.size, self._tell)
        if isinstance(body.source, Path) and body.size > self._part_bytes:
            return upload(
                self._bucket, key, body.source, self._part_bytes, meter.add, replace=replace
            )
        if replace:
            self._bucket.put(key, body.read())
        else:
            self._bucket.create(key, body.read(), uuid.uuid4().hex)
        meter.add(body.size)
        return None


def blob_key(digest: str) -> str:
    """Return the key of a blob's object."""
    name = hex_of(digest)
    return f"blobs/{name[:2]}/{name[2:]}"


def _checksum_of(digest: str) -> str:
    """Return a digest as S3 writes checksums, in base64."""
    return b64encode(bytes.fromhex(hex_of(digest))).decode("ascii")
