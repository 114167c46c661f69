"""Which teacher is which: a name, a digest, and the folder whose bytes have that digest."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lineage.digest import digest_bytes, digest_file, hex_of
from lineage.tree import Tree, TreeFile


@dataclass(frozen=True)
class WeightSource:
    """A checkpoint: a Hugging Face folder and the digest of all its bytes."""

    digest: str
    folder: Path


@dataclass(frozen=True)
class TeacherSource:
    """A teacher by name; with a base, its own folder holds a LoRA adapter in PEFT's format."""

    name: str
    digest: str
    folder: Path
    base: WeightSource | None = None

    @property
    def own(self) -> WeightSource:
        """The teacher's own folder: all its weights, or its adapter."""
        return WeightSource(self.digest, self.folder)

    @property
    def weights(self) -> WeightSource:
        """Where the full weights lie: in the base, if there is one."""
        return self.base or self.own


def check_binding(sources: Sequence[TeacherSource]) -> None:
    """Refuse names and digests that do not say for certain which weights a teacher has.

    A folder that the store made is named by its digest, and was verified when the store handed it
    out; any other is hashed here, once.

    Raises:
        ValueError: for no teacher, a name given twice, or a folder that has another digest.
    """
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names or "" in names:
        raise ValueError(
            f"teachers {names} cannot be told apart"
            + (f" ({twice} more than once)" if twice else "")
            + ": give at least one teacher, and each a name of its own"
        )
    found: dict[Path, str] = {}
    for source in sources:
        for given in {source.own, source.weights}:
            if given.folder not in found:
                found[given.folder] = _digest_by_name(given.folder) or digest_folder(given.folder)
            if found[given.folder] != given.digest:
                raise ValueError(
                    f"teacher {source.name!r} is to be {given.digest}, but {given.folder} holds "
                    f"{found[given.folder]}: names and checkpoints have been swapped, or the "
                    "folder was changed; take the folder from the store by the teacher's digest"
                )


def _digest_by_name(folder: Path) -> str | None:
    """Return the digest that a store's read-only folder is named by."""
    digest = f"sha256:{folder.name}"
    try:
        hex_of(digest)
    except ValueError:
        return None
    return digest


def digest_folder(folder: Path) -> str:
    """Return the digest that a store would give a folder; reads every byte once."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    rows = [
        TreeFile(file.relative_to(folder).as_posix(), file.stat().st_size, digest_file(file))
        for file in files
    ]
    return digest_bytes(Tree(tuple(sorted(rows))).to_bytes())
