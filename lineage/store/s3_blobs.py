"""Blobs as objects of a bucket. A put returns only after the server says it has the right bytes.

The server's word is the SHA-256 that it keeps with an object: of the whole, or of the parts'
checksums where the object came in parts. Where it keeps none, or one over other parts, the object
is read back and hashed.

A hostile team can predict the digest of a derivation and put wrong bytes there first. A role that
may not replace them puts a copy beside them under an unpredictable name. A reader that finds wrong
bytes at a digest reads its copies.
"""

import time
import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lineage.digest import digest_bytes, digest_file, hex_of
from lineage.errors import CorruptError, LineageError, MissingBlobError
from lineage.store.copying import Meter, ProgressCallback
from lineage.store.s3 import Bucket
from lineage.store.s3_answers import ObjectState, RecentNames
from lineage.store.s3_calls import ForbiddenError
from lineage.store.scratch import Scratch, full_disk_named
from lineage.store.transfer import composite, download, forget, upload

YOUNG_SECONDS = 3600.0
"""A blob put again within this time is not touched: the garbage collection leaves it alone."""
_PUT_SECONDS = 300.0
"""Seconds a process trusts its own put; with YOUNG_SECONDS far below the least grace period."""
_SEEN_SECONDS = 60.0
_DOOMED_SECONDS = 300.0
_BESIDE = "-"
"""Separator between the key of a blob and the random name of a copy."""


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
        self,
        bucket: Bucket,
        uri: str,
        scratch: Scratch,
        part_bytes: int,
        progress: ProgressCallback,
    ) -> None:
        """Keep blobs in ``bucket``, the store ``uri``; larger ones go up in parts."""
        self._bucket = bucket
        self._uri = uri
        self._scratch = scratch
        self._part_bytes = part_bytes
        self._progress = progress
        self._put = RecentNames(_PUT_SECONDS)
        self._seen = RecentNames(_SEEN_SECONDS)

    def put(self, body: Body) -> None:
        """Create a blob unless it is there; other bytes are replaced, or a copy is put beside them.

        Raises CorruptError where the server does not have what it acknowledged.
        """
        if body.digest in self._put:
            return
        key = blob_key(body.digest)
        state = self._existing(body.digest)
        if state is None or not self._is_right(state, body):
            try:
                self._send_checked(key, body, replace=state is not None)
            except ForbiddenError:
                if state is None:
                    raise
                self._put_beside(body)
        self._put.add(body.digest)

    def _put_beside(self, body: Body) -> None:
        """Put a copy beside an object with wrong bytes that this role may not replace."""
        copies = self._copies(body.digest, body.size)
        if not any(self._is_right(state, body) for state in copies):
            name = f"{blob_key(body.digest)}{_BESIDE}{uuid.uuid4().hex}"
            self._send_checked(name, body, replace=False)

    def _send_checked(self, key: str, body: Body, *, replace: bool) -> None:
        sent = self._send(key, body, replace=replace)
        state = self._bucket.head(key)
        if state is None or not self._is_right(state, body, sent):
            raise CorruptError(
                f"{self._uri} acknowledged {body.digest} but does not have its {body.size} "
                "bytes; put it again; if that recurs, do not use this server"
            )

    def has(self, digest: str, size: int | None = None) -> bool:
        """Say whether a blob is there, of ``size`` bytes where that is known."""
        name = f"{digest} {size}"
        if digest in self._put or name in self._seen:
            return True
        if next(self.candidates(digest, size), None) is None:
            return False
        self._seen.add(name)
        return True

    def candidates(self, digest: str, size: int | None = None) -> Iterator[ObjectState]:
        """Yield objects that may have a blob's bytes: that of its digest, then copies beside it.

        Left out is what the server itself says is of another size or has other bytes.
        """
        state = self._bucket.head(blob_key(digest))
        if state is not None and _may_be(state, digest, size):
            yield state
        yield from self._copies(digest, size)

    def _copies(self, digest: str, size: int | None) -> Iterator[ObjectState]:
        for listed in self._bucket.states(f"{blob_key(digest)}{_BESIDE}"):
            if size in {None, listed.size}:
                state = self._bucket.head(listed.key)
                if state is not None and _may_be(state, digest, size):
                    yield state

    def starts_with(self, digest: str, start: bytes) -> bool:
        """Say whether a blob that is there begins with ``start``."""
        state = next(self.candidates(digest), None)
        if state is None or state.size < len(start):
            return False
        return self._bucket.get_range(state.key, 0, len(start)) == start

    def read(self, digest: str) -> bytes:
        """Return a blob's bytes, verified. Raises MissingBlobError or CorruptError."""
        key = blob_key(digest)
        data = self._bucket.get(key)
        if data is not None and digest_bytes(data) == digest:
            return data
        for copy in self._copies(digest, None):
            found = self._bucket.get(copy.key)
            if found is not None and digest_bytes(found) == digest:
                return found
        raise self.missing(digest) if data is None else self.corrupt(digest)

    def check(self, digest: str) -> int:
        """Hash an object; return its size. Raises MissingBlobError or CorruptError."""
        for state in self.candidates(digest):
            if self._hashes_to(digest, state):
                return state.size
        raise self.unfit(digest)

    def unfit(self, digest: str) -> LineageError:
        """Return the error for a blob without any object that has the right bytes."""
        found = self._bucket.head(blob_key(digest))
        return self.missing(digest) if found is None else self.corrupt(digest)

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
            for copy in self._bucket.states(f"{blob_key(digest)}{_BESIDE}"):
                self._bucket.delete(copy.key)
            self._bucket.delete(blob_key(digest))
            self._bucket.delete(touched)
            self._put.discard(digest)
            self._seen = RecentNames(_SEEN_SECONDS)
        finally:
            self._bucket.delete(doomed)
        return True

    def missing(self, digest: str) -> MissingBlobError:
        """Return the error for a missing blob."""
        return MissingBlobError(
            f"{self._uri} has no {digest}: it was never put there, or was collected; run the step "
            "that makes it again, or copy it from another store"
        )

    def corrupt(self, digest: str) -> CorruptError:
        """Return the error for an object with bytes that do not match its digest."""
        return CorruptError(
            f"{self._uri} has wrong bytes at {blob_key(digest)} for {digest}: the object was "
            "changed or replaced. Put the original again (run the step that makes it, or copy "
            "it from another store); `provost lineage verify` lists what depends on it"
        )

    def _existing(self, digest: str) -> ObjectState | None:
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
        return self._hashes_to(body.digest, state)

    def _hashes_to(self, digest: str, state: ObjectState) -> bool:
        """Read an object into a scratch file and hash it."""
        path = self._scratch.path()
        try:
            with full_disk_named(path.parent):
                download(self._bucket, state.key, state.size, path, lambda _: None)
            return digest_file(path) == digest
        finally:
            forget(path)

    def _send(self, key: str, body: Body, *, replace: bool) -> tuple[str, int] | None:
        """Send a body; return the checksum over its parts where it went up in parts."""
        meter = Meter(body.digest, body.size, self._progress)
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


def _may_be(state: ObjectState, digest: str, size: int | None) -> bool:
    """Say whether an object may have a blob's bytes, for all that the server says of it."""
    if size not in {None, state.size}:
        return False
    return bool(state.parts) or state.checksum in {"", _checksum_of(digest)}


def _checksum_of(digest: str) -> str:
    """Return a digest as S3 writes checksums, in base64."""
    return b64encode(bytes.fromhex(hex_of(digest))).decode("ascii")
