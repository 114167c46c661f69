"""The store on S3: blobs and slots as objects, with a local cache of what was read.

Blobs are created once under their digests, checksums travel with them, and what is read is hashed.
Slots rest on conditional writes, which ``probes`` tries before the first use.
"""

import uuid
from functools import lru_cache
from pathlib import Path

from lineage.digest import PREFIX, hex_of, is_digest
from lineage.dsse import SigningKey
from lineage.errors import CorruptError, LineageError, StoreUnfitError
from lineage.store.admission import Limits
from lineage.store.blobs import BlobFolder
from lineage.store.copying import Meter, ProgressCallback, no_progress
from lineage.store.documents import Stamps, check_key, is_key
from lineage.store.probes import probe_server, read_only
from lineage.store.s3 import Bucket
from lineage.store.s3_blobs import BlobObjects, Body, blob_key, body_of
from lineage.store.s3_calls import ForbiddenError
from lineage.store.scratch import full_disk_named, remove, scratch_under
from lineage.store.store import (
    BlobState,
    admit,
    cache_of,
    files_named,
    read_tree,
)
from lineage.store.transfer import PART_BYTES, alone, download, forget
from lineage.store.tree import MANIFEST_START, Tree, TreeFile, TreeFolder, in_parallel

_THREADS = 16
"""Number of threads for requests with short answers."""


class S3Store:
    """A store in an S3 bucket. Not for pickling: each process opens its own."""

    def __init__(  # noqa: PLR0913 - a store has this many parts
        self,
        bucket: Bucket,
        uri: str,
        cache: Path,
        progress: ProgressCallback = no_progress,
        part_bytes: int = PART_BYTES,
        *,
        signing_key: SigningKey | None = None,
        writable: bool = True,
    ) -> None:
        """Use ``bucket``, with fetched blobs and folders in ``cache``.

        Set ``writable`` to False for a role that can only read.
        """
        self.signing_key = signing_key
        self._bucket = bucket
        self._uri = uri
        self._progress = progress
        self._writable = writable
        self._scratch = scratch_under(cache / "unfinished")
        self._scratch.sweep()
        self._partial = cache / "partial"
        self._partial.mkdir(parents=True, exist_ok=True)
        (cache / "blobs").mkdir(exist_ok=True)
        self._cache = BlobFolder(cache / "blobs", self._scratch)
        self._trees = TreeFolder(cache / "trees", self._cache, self._scratch)
        self._blobs = BlobObjects(bucket, uri, self._scratch, part_bytes, progress)

    @property
    def uri(self) -> str:
        """``s3://bucket/prefix``."""
        return self._uri

    def ensure_writable(self) -> None:
        """See Store."""
        if not self._writable:
            raise read_only(self.uri)

    def put_bytes(self, data: bytes) -> str:
        """See Store."""
        self.ensure_writable()
        body = body_of(data)
        self._blobs.put(body)
        return body.digest

    def put_file(self, path: Path) -> str:
        """See Store."""
        self.ensure_writable()
        return self._send(path).digest

    def get_bytes(self, digest: str) -> bytes:
        """See Store."""
        return self._cache.read(digest) if self._is_cached(digest) else self._blobs.read(digest)

    def check(self, digest: str) -> int:
        """See Store. Reads the object itself, never the cache."""
        return self._blobs.check(digest)

    def put_tree(self, folder: Path) -> str:
        """See Store."""
        self.ensure_writable()
        names = [path for path, _ in admit(folder, Limits())]
        found: dict[str, TreeFile] = {}

        def take(name: str) -> None:
            body = self._send(folder / name)
            found[name] = TreeFile(name, body.size, body.digest)

        in_parallel(names, take)
        return self.put_bytes(Tree(tuple(found[name] for name in names)).to_bytes())

    def tree(self, digest: str) -> Path:
        """See Store."""
        tree = read_tree(self, digest)
        for file in tree.files:
            self._fetch(file)
        return self._trees.get(digest, tree)

    def has(self, digest: str) -> bool:
        """See Store. What was found is believed for a minute."""
        if not self._blobs.has(digest):
            return False
        found = in_parallel(
            self._files_of(digest), lambda file: self._blobs.has(file.digest, file.size), _THREADS
        )
        return all(found)

    def _files_of(self, digest: str) -> tuple[TreeFile, ...]:
        """Return the files that a manifest names; none for any other blob."""
        if not self._blobs.starts_with(digest, MANIFEST_START):
            return ()
        return files_named(self, digest)

    def claim(self, key: str, data: bytes) -> bool:
        """See Store."""
        self.ensure_writable()
        return self._bucket.create(f"keys/{check_key(key)}", data, uuid.uuid4().hex)

    def read_key(self, key: str) -> bytes | None:
        """See Store."""
        return self._bucket.get(f"keys/{check_key(key)}")

    def keys(self, prefix: str) -> list[str]:
        """See Store."""
        under = f"keys/{check_key(prefix)}/" if prefix else "keys/"
        found = (state.key.removeprefix("keys/") for state in self._bucket.states(under))
        return sorted(filter(is_key, found))

    def stamps(self, prefix: str) -> Stamps:
        """See Store."""
        found: Stamps = {}
        for state in self._bucket.states(f"keys/{check_key(prefix)}/"):
            path, _, name = state.key.removeprefix("keys/").rpartition("/")
            if is_key(f"{path}/{name}"):
                times = state.written_ns, state.written_ns
                found.setdefault(path, {})[name] = [state.etag, state.size, *times]
        return found

    def blob_states(self) -> list[BlobState]:
        """See Store."""
        touched = {s.key.rpartition("/")[2]: s.age_seconds for s in self._bucket.states("touched/")}
        found = []
        for state in self._bucket.states("blobs/"):
            name = "".join(state.key.split("/")[1:])
            if not is_digest(f"{PREFIX}{name}") or state.key != blob_key(f"{PREFIX}{name}"):
                continue  # put there by somebody else
            age = min(state.age_seconds, touched.get(name, state.age_seconds))
            found.append(BlobState(f"{PREFIX}{name}", state.size, age))
        return found

    def remove(self, digest: str, least_age_seconds: float) -> bool:
        """See Store."""
        self.ensure_writable()
        return self._blobs.remove(digest, least_age_seconds)

    def _send(self, path: Path) -> Body:
        body = body_of(path)
        self._blobs.put(body)
        return body

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
        wrong: CorruptError | None = None
        for state in self._blobs.candidates(file.digest, file.size):
            meter = Meter(file.digest, file.size, self._progress)
            download(self._bucket, state.key, file.size, target, meter.add)
            try:
                self._cache.adopt(target, file.digest)
            except CorruptError as error:
                wrong = error
            else:
                return
            finally:
                forget(target)
        raise wrong or self._blobs.unfit(file.digest)


@lru_cache(maxsize=4)
def open_s3(uri: str, progress: ProgressCallback = no_progress) -> S3Store:
    """Open ``s3://bucket/prefix``; once in a process, the server's conditional writes are tried.

    Where the role may not write, the store is opened for reading. Raises StoreUnfitError where
    conditional writes are not atomic, or the bucket cannot be used.
    """
    name, _, prefix = uri.removeprefix("s3://").partition("/")
    if not name:
        raise StoreUnfitError(
            f"store {uri!r} names no bucket: write s3://bucket/prefix", code="no-bucket"
        )
    bucket = Bucket(name, prefix)
    writable = True
    try:
        probe_server(bucket, uri)
    except ForbiddenError:
        writable = False
    except StoreUnfitError:
        raise
    except LineageError as error:
        raise StoreUnfitError(f"{uri} cannot be used as a store: {error.args[0]}") from error
    return S3Store(bucket, uri, cache_of(uri), progress=progress, writable=writable)
