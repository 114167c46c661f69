"""The content-addressed store: blobs and trees under SHA-256, and small slots claimed once.

Nothing is overwritten, nothing is half visible, and what is read is verified. Two backends share
the interface: a folder (here) and S3 (``lineage.store.s3_store``).
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lineage.digest import digest_bytes, hex_of
from lineage.dsse import SigningKey
from lineage.errors import CorruptError, StoreUnfitError
from lineage.store.admission import Limits, check_content, list_files
from lineage.store.blobs import BlobFolder, flush, flush_folder, make_folders
from lineage.store.copying import ProgressCallback, no_progress
from lineage.store.documents import Stamps, check_key, is_key, names_below, stamps_below
from lineage.store.probes import can_be_made, make_writable, read_only
from lineage.store.scratch import full_disk_named, remove, scratch_under
from lineage.store.tree import MANIFEST_START, Tree, TreeFile, TreeFolder, in_parallel, parse_tree

_FOLDERS = ("blobs", "keys", "trees", "unfinished")


@dataclass(frozen=True)
class BlobState:
    """Size and age of one blob of a store."""

    digest: str
    size: int
    age_seconds: float
    """Seconds since it was put, or put again."""


class Store(Protocol):
    """Where artifacts and records live. All digests are ``sha256:<hex>``."""

    signing_key: SigningKey | None
    """Key that signs statements; None means the process's: see ``lineage.trust.author``."""

    @property
    def uri(self) -> str:
        """Where the store is, as ``open_store`` takes it."""

    def ensure_writable(self) -> None:
        """Raise StoreUnfitError if this process can only read the store.

        Call it before long work that must write its output here.
        """

    def put_bytes(self, data: bytes) -> str:
        """Store a blob; return its digest once it is durable."""

    def put_file(self, path: Path) -> str:
        """Store a file's bytes as a blob; return its digest once it is durable."""

    def get_bytes(self, digest: str) -> bytes:
        """Return a blob's bytes, verified. Raises MissingBlobError or CorruptError."""

    def check(self, digest: str) -> int:
        """Hash a blob again, whatever was found before; return its size in bytes.

        Raises MissingBlobError or CorruptError.
        """

    def put_tree(self, folder: Path) -> str:
        """Store a folder, blobs first and its manifest last; return the manifest's digest.

        Raises RefusedFileError for pickles, symlinks, unsafe paths, configs that load code, and
        sizes beyond reason, before anything is written.
        """

    def tree(self, digest: str) -> Path:
        """Return a verified read-only local folder with the tree's files."""

    def has(self, digest: str) -> bool:
        """Return whether the store has a blob, or a tree with every file of its manifest."""

    def claim(self, key: str, data: bytes) -> bool:
        """Create the slot ``key`` with ``data``, atomically; return False if it exists."""

    def read_key(self, key: str) -> bytes | None:
        """Return what a slot holds, or None if it is free."""

    def keys(self, prefix: str) -> list[str]:
        """Return the claimed keys below ``prefix`` (whole path segments), sorted."""

    def stamps(self, prefix: str) -> Stamps:
        """Return the stamp of each claimed key below ``prefix``, without reading any."""

    def blob_states(self) -> list[BlobState]:
        """Return every blob with its size and age, for the garbage collection."""

    def remove(self, digest: str, least_age_seconds: float) -> bool:
        """Remove a blob, unless it is younger than that by now; say whether it is gone.

        Only the garbage collection calls this.
        """


class FolderStore:
    """A store in a local or shared folder that supports hard links and file locks."""

    def __init__(
        self,
        root: Path,
        limits: Limits | None = None,
        progress: ProgressCallback = no_progress,
        signing_key: SigningKey | None = None,
    ) -> None:
        """Open the store at ``root``, for reading where this user cannot write.

        A new one is made by the first write: who only reads leaves nothing behind. Raises
        StoreUnfitError where none can be made, or the disk keeps no store's promises.
        """
        self.signing_key = signing_key
        self._progress = progress
        self._root = root.absolute()
        self._limits = limits or Limits()
        self._keys = self._root / "keys"
        self._scratch = scratch_under(self._root / "unfinished")
        self._is_made = self._root.is_dir()
        self._writable = self._make() if self._is_made else can_be_made(self._root)
        self.blobs = BlobFolder(self._root / "blobs", self._scratch)
        self.trees = self._tree_folder()

    def _make(self) -> bool:
        return make_writable(self._root, _FOLDERS, self._scratch)

    def _tree_folder(self) -> TreeFolder:
        """Return where folders are made: in the store, or beside it where it is read-only."""
        if self._writable:
            return TreeFolder(self._root / "trees", self.blobs, self._scratch)
        cache = cache_of(self.uri)
        return TreeFolder(cache / "trees", self.blobs, scratch_under(cache / "unfinished"))

    @property
    def uri(self) -> str:
        """The folder, as an absolute path."""
        return str(self._root)

    def ensure_writable(self) -> None:
        """See Store."""
        if not self._is_made:
            self._writable, self._is_made = self._make(), True
        if not self._writable:
            raise read_only(self.uri)

    def put_bytes(self, data: bytes) -> str:
        """See Store."""
        self.ensure_writable()
        return self.blobs.add_bytes(data)

    def put_file(self, path: Path) -> str:
        """See Store."""
        self.ensure_writable()
        return self.blobs.add_file(path, self._progress)[0]

    def get_bytes(self, digest: str) -> bytes:
        """See Store."""
        return self.blobs.read(digest)

    def check(self, digest: str) -> int:
        """See Store."""
        return self.blobs.verify(digest, again=True).stat().st_size

    def put_tree(self, folder: Path) -> str:
        """See Store."""
        self.ensure_writable()
        names = [path for path, _ in admit(folder, self._limits)]
        found: dict[str, TreeFile] = {}

        def take(name: str) -> None:
            digest, size = self.blobs.add_file(folder / name, self._progress)
            found[name] = TreeFile(name, size, digest)

        in_parallel(names, take)
        return self.put_bytes(Tree(tuple(found[name] for name in names)).to_bytes())

    def tree(self, digest: str) -> Path:
        """See Store."""
        return self.trees.get(digest, read_tree(self, digest))

    def has(self, digest: str) -> bool:
        """See Store."""
        if not self.blobs.has(digest):
            return False
        return all(self.blobs.has(file.digest, file.size) for file in self._files_of(digest))

    def _files_of(self, digest: str) -> tuple[TreeFile, ...]:
        """Return the files that a manifest names; none for any other blob."""
        with self.blobs.path(digest).open("rb") as file:
            if file.read(len(MANIFEST_START)) != MANIFEST_START:
                return ()
        return files_named(self, digest)

    def claim(self, key: str, data: bytes) -> bool:
        """See Store."""
        self.ensure_writable()
        target = self._keys / check_key(key)
        if target.exists():
            return False
        with full_disk_named(self._root):
            new_in = make_folders(target.parent)
        unfinished = self._scratch.path()
        try:
            with full_disk_named(self._root):
                with unfinished.open("xb") as file:
                    file.write(data)
                    file.flush()
                    flush(file.fileno())
                unfinished.chmod(0o444)
                os.link(unfinished, target)  # atomic, and fails where the name exists
                for folder in (target.parent, *new_in):
                    flush_folder(folder)
        except FileExistsError:
            return False
        finally:
            remove(unfinished)
        return True

    def read_key(self, key: str) -> bytes | None:
        """See Store."""
        try:
            return (self._keys / check_key(key)).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def keys(self, prefix: str) -> list[str]:
        """See Store."""
        top = self._keys / check_key(prefix) if prefix else self._keys
        return sorted(key for key in names_below(top, prefix) if is_key(key))

    def stamps(self, prefix: str) -> Stamps:
        """See Store."""
        return stamps_below(self._keys / check_key(prefix), prefix)

    def blob_states(self) -> list[BlobState]:
        """See Store."""
        self.ensure_writable()  # the disk's clock is read by writing a file
        return [BlobState(*row) for row in self.blobs.ages()]

    def remove(self, digest: str, least_age_seconds: float) -> bool:
        """See Store."""
        self.ensure_writable()
        removed = self.blobs.remove(digest, least_age_seconds)
        if removed:
            self.trees.forget(digest)
        return removed


def admit(folder: Path, limits: Limits) -> list[tuple[str, int]]:
    """Return the (path, size) of a folder's files after all checks on names and content."""
    found = list_files(folder, limits)
    for path, size in found:
        check_content(folder, path, size)
    return found


def read_tree(store: Store, digest: str) -> Tree:
    """Return the manifest of a tree: its files with sizes and digests, and the weights digest."""
    return parse_tree(store.get_bytes(digest), digest)


def files_named(store: Store, manifest: str) -> tuple[TreeFile, ...]:
    """Return the files that a manifest names; none for a blob that only begins like one."""
    try:
        return read_tree(store, manifest).files
    except CorruptError:
        return ()  # JSON that begins like a manifest; its reader reports damage


def home() -> Path:
    """Return $PROVOST_HOME, else ``runs`` under the working folder: store, MLflow, reports."""
    return Path(os.environ.get("PROVOST_HOME") or "runs").absolute()


def cache_of(uri: str) -> Path:
    """Return the folder for what is fetched or unpacked from the store at ``uri``."""
    return home() / "cache" / hex_of(digest_bytes(uri.encode()))[:16]


def open_store(uri: str | None = None, progress: ProgressCallback = no_progress) -> Store:
    """Open the store at ``uri``: a folder, or ``s3://bucket/prefix``.

    Without ``uri`` it is $PROVOST_STORE, else the folder ``store`` in ``home()``; ``progress``
    hears how far each blob has come.
    """
    place = uri or os.environ.get("PROVOST_STORE") or str(home() / "store")
    scheme, separator, rest = place.partition("://")
    if not separator or scheme == "file":
        return FolderStore(Path(rest or place), progress=progress)
    if scheme == "s3":
        from lineage.store.s3_store import open_s3  # noqa: PLC0415 - it builds on this module

        return open_s3(place, progress)
    raise StoreUnfitError(
        f"store {place!r} has an unknown scheme {scheme!r}: give a folder, or s3://bucket/prefix"
    )
