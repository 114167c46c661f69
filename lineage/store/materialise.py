"""A tree as a folder that a library can open: hard links to verified blobs where the disk can."""

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from lineage.digest import hex_of
from lineage.errors import CorruptError, MissingBlobError
from lineage.store.admission import Limits, check_content, check_file
from lineage.store.blobs import BlobFolder
from lineage.store.full_disk import full_disk_named
from lineage.store.scratch import Scratch, remove
from lineage.store.tree import Tree, TreeFile

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
                f"{file.size}: the manifest is wrong or forged; do not use this tree"
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
    """Return what ``work`` gives for each item; raise the first error.

    It runs on so many threads, by default as many as there are cores.
    """
    with ThreadPoolExecutor(max_workers=threads or min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, items))
