"""Trees: the manifest of a stored folder, and the folder that a library can open.

A manifest is canonical JSON, so the digest of the manifest is the digest of the whole folder, and
it is written last: who can read it can read every file that it names. The folder holds hard links
to verified blobs where the disk supports them, else copies.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from lineage.digest import canonical_json, digest_json, hex_of, is_digest
from lineage.errors import CorruptError, MissingBlobError, RefusedFileError
from lineage.store.admission import Limits, check_content, check_file, check_paths
from lineage.store.blobs import BlobFolder
from lineage.store.scratch import Scratch, full_disk_named, remove

SCHEMA = "provost.tree/1"
MANIFEST_START = b'{"files":'
"""First bytes of every manifest; other JSON may begin with them too."""


@dataclass(frozen=True, order=True)
class TreeFile:
    """One file of a tree: its path inside the folder, its size in bytes, its digest."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True)
class Tree:
    """The files of a folder, sorted by path."""

    files: tuple[TreeFile, ...]

    @property
    def weights(self) -> str:
        """Digest over the safetensors files alone, or "" without such files.

        Two checkpoints that differ only in a config or a README have the same weights digest.
        """
        rows = _rows(tuple(file for file in self.files if file.path.endswith(".safetensors")))
        return digest_json(rows) if rows else ""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    def to_bytes(self) -> bytes:
        """Return the manifest in the form that the store keeps."""
        return canonical_json(
            {"schema": SCHEMA, "files": _rows(self.files), "weights": self.weights}
        )


def _rows(files: tuple[TreeFile, ...]) -> list[JsonValue]:
    return [[file.path, file.size, file.digest] for file in files]


def parse_tree(data: bytes, digest: str) -> Tree:
    """Return the tree that ``data``, the verified bytes of ``digest``, describes.

    Raises CorruptError if the bytes are not a manifest, and RefusedFileError for a path that leaves
    the folder, an empty list of files or too many: a digest proves that bytes did not change, not
    that they are safe.
    """
    problem = f"{digest} is not the manifest of a folder"
    try:
        document = json.loads(data)
        files = tuple(TreeFile(*row) for row in document["files"])
        schema, weights = document["schema"], document["weights"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise CorruptError(
            f"{problem} ({error}): ask for it with get_bytes", code="not-a-folder"
        ) from error
    if schema != SCHEMA or not all(_is_sane(file) for file in files):
        raise CorruptError(f"{problem} of schema {SCHEMA}: it was written by something else")
    if not files or len(files) > Limits().files:
        raise RefusedFileError(
            f"{digest} names {len(files)} files: a folder in the store has 1 to {Limits().files}"
        )
    check_paths([file.path for file in files])
    tree = Tree(files)
    if tree.weights != weights or tree.to_bytes() != data:
        raise CorruptError(f"{problem}: its entries are inconsistent; put the folder again")
    return tree


def _is_sane(file: TreeFile) -> bool:
    return (
        isinstance(file.path, str)
        and isinstance(file.size, int)
        and file.size >= 0
        and isinstance(file.digest, str)
        and is_digest(file.digest)
    )


_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP}

Item = TypeVar("Item")
Result = TypeVar("Result")


class TreeFolder:
    """Read-only folders, ``<root>/<hex of the digest>``, verified at each use."""

    def __init__(self, root: Path, blobs: BlobFolder, scratch: Scratch) -> None:
        """Keep the folders under ``root``, made from ``blobs``. The first one makes ``root``."""
        self._root = root
        self._blobs = blobs
        self._scratch = scratch

    def get(self, digest: str, tree: Tree) -> Path:
        """Return the verified folder of ``tree``, building it, or building it anew if touched."""
        folder = self._root / hex_of(digest)
        in_parallel(tree.files, lambda file: self._blobs.verify(file.digest))
        if not folder.is_dir():
            self._build(folder, tree)
        elif not self._is_intact(folder, tree):
            aside = self._scratch.path()
            folder.chmod(0o755)
            folder.rename(aside)
            self._build(folder, tree)
            remove(aside)
        return folder

    def forget(self, digest: str) -> None:
        """Remove a tree's folder after its manifest is gone: its links hold disk space."""
        folder = self._root / hex_of(digest)
        if folder.is_dir():
            aside = self._scratch.path()
            folder.chmod(0o755)
            folder.rename(aside)
            remove(aside)

    def _is_intact(self, folder: Path, tree: Tree) -> bool:
        """Say whether the folder holds the tree's files with the right bytes, and nothing else."""
        present = {
            (Path(parent) / name).relative_to(folder).as_posix()
            for parent, _, names in os.walk(folder)
            for name in names
        }
        if present != {file.path for file in tree.files}:
            return False
        return all(self._blobs.matches(folder / file.path, file.digest) for file in tree.files)

    def _build(self, folder: Path, tree: Tree) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        unfinished = self._scratch.path()
        try:
            with full_disk_named(self._root):
                for file in tree.files:
                    self._place(unfinished / file.path, file)
                    check_file(file.path, (unfinished / file.path).lstat(), Limits())
                for file in tree.files:
                    check_content(unfinished, file.path, file.size)
            self._appear(unfinished, folder)
        finally:
            remove(unfinished)

    def _place(self, target: Path, file: TreeFile) -> None:
        """Link or copy one verified blob to its path, and check its declared size."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._blobs.link(file.digest, target)
        except FileNotFoundError as error:
            raise MissingBlobError(f"{file.path}: {file.digest} is not in the store") from error
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            shutil.copyfile(self._blobs.path(file.digest), target)
            target.chmod(0o444)
        if target.stat().st_size != file.size:
            raise CorruptError(
                f"{file.path} has {target.stat().st_size} bytes, but its manifest says "
                f"{file.size}: the manifest is wrong or forged; do not use this tree",
                code="other-size",
            )

    def _appear(self, unfinished: Path, folder: Path) -> None:
        """Show the finished folder under its name, at once; another process may be first."""
        try:
            unfinished.rename(folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            return
        for parent, _, _ in os.walk(folder):
            Path(parent).chmod(0o555)


def in_parallel(
    items: Sequence[Item], work: Callable[[Item], Result], threads: int = 0
) -> list[Result]:
    """Return the result of ``work`` for each item; raise the first error.

    It runs on so many threads, by default as many as there are cores.
    """
    with ThreadPoolExecutor(max_workers=threads or min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, items))
