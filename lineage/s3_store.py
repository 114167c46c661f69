"""The store on S3: blobs and slots as objects, with a local cache of what was read.

Blobs are created once under their digests, checksums travel with them, and what is read is hashed.
Slots rest on conditional writes, which ``s3_probe`` tries before the first use.
"""

import time
import uuid
from functools import lru_cache
from pathlib import Path

from lineage.admission import Limits
from lineage.blobs import BlobFolder, full_disk_named
from lineage.digest import digest_bytes, digest_file, hex_of
from lineage.errors import CorruptError, LineageError, MissingBlobError, StoreUnfitError
from lineage.materialise import TreeFolder, in_parallel
from lineage.s3 import Bucket
from lineage.s3_probe import probe
from lineage.scratch import remove, scratch_under
from lineage.store import BlobState, admit, check_key, home, read_tree
from lineage.telling import Meter, Tell, silent
from lineage.transfer import PART_BYTES, alone, download, forget, upload
from lineage.tree import Tree, TreeFile

_YOUNG_SECONDS = 3600.0
_DOOMED_SECONDS = 300.0

"""Hears a blob's digest, how many of its bytes are done, and how many it has."""


class S3Store:
    """A store in an S3 bucket. Not for pickling: each process opens its own."""

    def __init__(
        self,
        bucket: Bucket,
        uri: str,
        cache: Path,
        tell: Tell = silent,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """Use ``bucket``, with fetched blobs and folders in ``cache``; ``tell`` hears progress."""
        self._bucket = bucket
        self._uri = uri
        self._tell = tell
        self._part_bytes = part_bytes
        self._scratch = scratch_under(cache / "unfinished")
        self._partial = cache / "partial"
        self._partial.mkdir(parents=True, exist_ok=True)
        self._cache = BlobFolder(cache / "blobs", self._scratch)
        self._trees = TreeFolder(cache / "trees", self._cache, self._scratch)
        self._known: set[str] = set()

    @property
    def uri(self) -> str:
        """``s3://bucket/prefix``."""
        return self._uri

    def put_bytes(self, data: bytes) -> str:
        """See Store."""
        digest = digest_bytes(data)
        if not self._stands(digest):
            self._bucket.create(_blob(digest), data, uuid.uuid4().hex)
        self._known.add(digest)
        return digest

    def put_file(self, path: Path) -> str:
        """See Store."""
        return self._send(path)[0]

    def get_bytes(self, digest: str) -> bytes:
        """See Store."""
        if self._is_cached(digest):
            return self._cache.read(digest)
        data = self._bucket.get(_blob(digest))
        if data is None:
            raise self._missing(digest)
        if digest_bytes(data) != digest:
            raise self._corrupt(digest)
        return data

    def check(self, digest: str) -> int:
        """See Store. Reads the object itself, never the cache."""
        state = self._bucket.head(_blob(digest))
        if state is None:
            raise self._missing(digest)
        path = self._scratch.path()
        try:
            with full_disk_named(path.parent):
                download(self._bucket, _blob(digest), state.size, path, lambda _: None)
            if digest_file(path) != digest:
                raise self._corrupt(digest)
        finally:
            forget(path)
        return state.size

    def put_tree(self, folder: Path) -> str:
        """See Store."""
        names = [path for path, _ in admit(folder, Limits())]
        found: dict[str, TreeFile] = {}

        def take(name: str) -> None:
            digest, size = self._send(folder / name)
            found[name] = TreeFile(name, size, digest)

        in_parallel(names, take)
        return self.put_bytes(Tree(tuple(found[name] for name in names)).to_bytes())

    def tree(self, digest: str) -> Path:
        """See Store."""
        tree = read_tree(self, digest)
        for file in tree.files:
            self._fetch(file)
        return self._trees.get(digest, tree)

    def has(self, digest: str) -> bool:
        """See Store."""
        if digest not in self._known and self._bucket.head(_blob(digest)) is not None:
            self._known.add(digest)
        return digest in self._known

    def claim(self, key: str, data: bytes) -> bool:
        """See Store."""
        return self._bucket.create(f"keys/{check_key(key)}", data, uuid.uuid4().hex)

    def read_key(self, key: str) -> bytes | None:
        """See Store."""
        return self._bucket.get(f"keys/{check_key(key)}")

    def keys(self, prefix: str) -> list[str]:
        """See Store."""
        under = f"keys/{check_key(prefix)}/" if prefix else "keys/"
        return sorted(state.key.removeprefix("keys/") for state in self._bucket.states(under))

    def blob_states(self) -> list[BlobState]:
        """See Store."""
        touched = {s.key.rpartition("/")[2]: s.age_seconds for s in self._bucket.states("touched/")}
        found = []
        for state in self._bucket.states("blobs/"):
            name = "".join(state.key.split("/")[1:])
            age = min(state.age_seconds, touched.get(name, state.age_seconds))
            found.append(BlobState(f"sha256:{name}", state.size, age))
        return found

    def remove(self, digest: str, least_age_seconds: float) -> bool:
        """See Store.

        S3 has no lock, so remover and writers announce themselves: the remover marks the blob as
        doomed and then looks for a fresh touch; a writer touches it and then looks for the mark.
        One of them sees the other.
        """
        doomed, name = f"doomed/{hex_of(digest)}", hex_of(digest)
        self._bucket.put(doomed, b"")
        try:
            ages = [self._bucket.head(key) for key in (_blob(digest), f"touched/{name}")]
            if any(state and state.age_seconds < least_age_seconds for state in ages):
                return False
            self._bucket.delete(_blob(digest))
            self._known.discard(digest)
        finally:
            self._bucket.delete(doomed)
        return True

    def _stands(self, digest: str) -> bool:
        """Say whether a blob is there, and keep the garbage collection off it for a while."""
        if digest in self._known:
            return True
        state = self._bucket.head(_blob(digest))
        if state is None:
            return False
        if state.age_seconds > _YOUNG_SECONDS:
            self._bucket.put(f"touched/{hex_of(digest)}", b"")
            self._wait_while_doomed(digest)
            return self._bucket.head(_blob(digest)) is not None
        return True

    def _wait_while_doomed(self, digest: str) -> None:
        while True:
            mark = self._bucket.head(f"doomed/{hex_of(digest)}")
            if mark is None or mark.age_seconds > _DOOMED_SECONDS:  # its remover died
                return
            time.sleep(0.2)

    def _send(self, path: Path) -> tuple[str, int]:
        digest, size = digest_file(path), path.stat().st_size
        if not self._stands(digest):
            meter = Meter(digest, size, self._tell)
            if size <= self._part_bytes:
                self._bucket.create(_blob(digest), path.read_bytes(), uuid.uuid4().hex)
                meter.add(size)
            else:
                upload(self._bucket, _blob(digest), path, self._part_bytes, meter.add)
            self._check_sent(digest, size)
        self._known.add(digest)
        return digest, size

    def _check_sent(self, digest: str, size: int) -> None:
        state = self._bucket.head(_blob(digest))
        if state is None or state.size != size:
            raise CorruptError(
                f"{self._uri} acknowledged {digest} but has {state.size if state else 'nothing'} "
                f"instead of {size} bytes; put it again, and distrust the server if it recurs"
            )

    def _fetch(self, file: TreeFile) -> None:
        """Bring a blob into the cache, going on from an earlier try; verified before it counts."""
        if self._is_cached(file.digest):
            return
        target = self._partial / hex_of(file.digest)
        with alone(target.with_name(f"{target.name}.lock")), full_disk_named(self._partial):
            if self._is_cached(file.digest):  # another process was first
                return
            resumed = target.exists()
            try:
                self._fetch_once(file, target)
            except CorruptError:
                if not resumed:
                    raise
                self._fetch_once(file, target)  # what a crash left may not have reached the disk

    def _is_cached(self, digest: str) -> bool:
        """Say whether the cache has a blob with the right bytes; wrong ones are thrown away."""
        path = self._cache.path(digest)
        if not path.exists():
            return False
        if self._cache.matches(path, digest):
            return True
        remove(path)
        return False

    def _fetch_once(self, file: TreeFile, target: Path) -> None:
        state = self._bucket.head(_blob(file.digest))
        if state is None:
            raise self._missing(file.digest)
        if state.size != file.size:
            raise self._corrupt(file.digest)
        meter = Meter(file.digest, file.size, self._tell)
        download(self._bucket, _blob(file.digest), file.size, target, meter.add)
        try:
            self._cache.adopt(target, file.digest)
        finally:
            forget(target)

    def _missing(self, digest: str) -> MissingBlobError:
        return MissingBlobError(
            f"{self._uri} has no {digest}: it was never put there, or was collected; run the step "
            "that makes it again, or copy it from another store"
        )

    def _corrupt(self, digest: str) -> CorruptError:
        return CorruptError(
            f"{self._uri} gives other bytes for {digest} than were put there: someone changed the "
            "object. Restore it from a copy; `provost lineage verify` names what rests on it"
        )


@lru_cache(maxsize=4)
def open_s3(uri: str, tell: Tell = silent) -> S3Store:
    """Open ``s3://bucket/prefix``; once in a process, the server's conditional writes are tried.

    Raises StoreUnfitError where they are not atomic, or the bucket cannot be used.
    """
    name, _, prefix = uri.removeprefix("s3://").partition("/")
    if not name:
        raise StoreUnfitError(f"store {uri!r} names no bucket: write s3://bucket/prefix")
    bucket = Bucket(name, prefix)
    try:
        probe(bucket, uri)
    except StoreUnfitError:
        raise
    except LineageError as error:
        raise StoreUnfitError(f"{uri} cannot be used as a store: {error}") from error
    cache = home() / "cache" / hex_of(digest_bytes(uri.encode()))[:16]
    return S3Store(bucket, uri, cache, tell=tell)


def _blob(digest: str) -> str:
    name = hex_of(digest)
    return f"blobs/{name[:2]}/{name[2:]}"
