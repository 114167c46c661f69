"""The manifest of a folder in the store: which files, how long, which digests.

A manifest is canonical JSON, so the digest of the manifest is the digest of the whole folder, and
it is written last: who can read it can read every file that it names.
"""

import json
from dataclasses import dataclass

from pydantic import JsonValue

from lineage.digest import canonical_json, digest_json, is_digest
from lineage.errors import CorruptError, RefusedFileError
from lineage.store.admission import Limits, check_paths

SCHEMA = "provost.tree/1"
MANIFEST_START = b'{"files":'
"""How every manifest begins; other JSON may begin so too."""


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
        raise CorruptError(f"{problem} ({error}): ask for it with get_bytes") from error
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
