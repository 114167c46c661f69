"""A teacher's checkpoint: its name and digest, its files, and the tensors that they map."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lineage.digest import digest_bytes, digest_file, hex_of
from lineage.store.tree import Tree, TreeFile
from tasks.contracts.refusal import RefusedError
from tasks.model.files import map_file, read_header

_ADVICE_BYTES = 128 << 10
"""Bytes per request to read ahead; the kernel cuts each request to the device's window."""
_OF_NO_CONSEQUENCE = frozenset({"_name_or_path", "transformers_version"})

Header = Mapping[str, tuple[str, tuple[int, ...]]]
"""Tensor name to type and shape."""


class CheckpointFiles:
    """The config and the weight files of a Hugging Face folder. Only headers are read at first."""

    def __init__(self, folder: Path) -> None:
        """Read config and headers.

        Raises:
            ValueError: for a folder without config or safetensors, or with a broken header.
        """
        self.folder = folder
        self.config = _read_config(folder)
        self.files = _weight_files(folder)
        self._stamps = [_stamp(file) for file in self.files]
        self.header: Header = {
            name: entry for file in self.files for name, entry in read_header(file).items()
        }

    @property
    def num_bytes(self) -> int:
        """Bytes of the weight files."""
        return sum(size for size, _ in self._stamps)

    @property
    def architecture(self) -> str:
        """A key that two checkpoints share exactly if their tensors are interchangeable."""
        config = {k: v for k, v in self.config.items() if k not in _OF_NO_CONSEQUENCE}
        return json.dumps([config, sorted(self.header.items())], sort_keys=True)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor as a view of its file, which stays mapped as long as a view exists.

        Raises:
            RuntimeError: if a file changed after it was checked.
        """
        if [_stamp(file) for file in self.files] != self._stamps:
            raise RuntimeError(
                f"the weights in {self.folder} changed while a run was using them: start the run "
                "again with a checkpoint that no other process writes to"
            )
        return {name: tensor for file in self.files for name, tensor in map_file(file).items()}

    def read_ahead(self) -> None:
        """Ask the kernel to bring the files into its page cache; needs none of our own memory."""
        for file, (size, _) in zip(self.files, self._stamps, strict=True):
            descriptor = os.open(file, os.O_RDONLY)
            try:
                for first in range(0, size, _ADVICE_BYTES):
                    os.posix_fadvise(descriptor, first, _ADVICE_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)


def _read_config(folder: Path) -> dict[str, object]:
    file = folder / "config.json"
    if not file.is_file():
        raise RefusedError(
            "no-config",
            f"{folder} has no config.json, so it is not a Hugging Face model: give the folder "
            "that holds config.json and safetensors, and for a LoRA adapter its base as well",
        )
    config: dict[str, object] = json.loads(file.read_text("utf-8"))
    return config


def _weight_files(folder: Path) -> list[Path]:
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise RefusedError(
            "no-safetensors",
            f"{folder} has no model.safetensors and no index of shards: save the model with "
            "save_pretrained; pickled weights are never read",
        )
    names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise RefusedError(
            "missing-shard",
            f"{folder} lacks {absent} of its {len(names)} weight files: fetch the checkpoint again",
        )
    return [folder / name for name in names]


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


@dataclass(frozen=True)
class CheckpointFolder:
    """A checkpoint: a Hugging Face folder and the digest of all its bytes."""

    digest: str
    folder: Path


@dataclass(frozen=True)
class TeacherSource:
    """A teacher by name; with a base, its own folder holds a LoRA adapter in PEFT's format."""

    name: str
    digest: str
    folder: Path
    base: CheckpointFolder | None = None

    @property
    def own(self) -> CheckpointFolder:
        """The teacher's own folder: all its weights, or its adapter."""
        return CheckpointFolder(self.digest, self.folder)

    @property
    def weights(self) -> CheckpointFolder:
        """Folder of the full weights: the base's, if there is one."""
        return self.base or self.own


def check_binding(sources: Sequence[TeacherSource]) -> None:
    """Refuse names and digests that do not identify each teacher's weights for certain.

    A folder from the store is named by its digest and was verified when it was opened; any other
    folder is hashed here, once.

    Raises:
        ValueError: for an empty list, a repeated name, or a folder with another digest.
    """
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names or "" in names:
        raise RefusedError(
            "ambiguous-names",
            f"the teachers' names {names} are ambiguous"
            + (f" ({twice} occur more than once)" if twice else "")
            + ": give at least one teacher, and each teacher its own name",
        )
    digests: dict[Path, str] = {}
    for source in sources:
        for checkpoint in {source.own, source.weights}:
            folder = checkpoint.folder
            if folder not in digests:
                digests[folder] = _digest_by_name(folder) or digest_folder(folder)
            if digests[folder] != checkpoint.digest:
                raise RefusedError(
                    "other-digest",
                    f"teacher {source.name!r} is to be {checkpoint.digest}, but {folder} holds "
                    f"{digests[folder]}: names and checkpoints were swapped, or the folder was "
                    "changed. Take the folder from the store by the teacher's digest",
                )


def _digest_by_name(folder: Path) -> str | None:
    """Return the digest in the name of a store's read-only folder."""
    digest = f"sha256:{folder.name}"
    try:
        hex_of(digest)
    except ValueError:
        return None
    return digest


def digest_folder(folder: Path) -> str:
    """Return a folder's digest, as a store computes it; reads every byte once."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    rows = [
        TreeFile(file.relative_to(folder).as_posix(), file.stat().st_size, digest_file(file))
        for file in files
    ]
    return digest_bytes(Tree(tuple(sorted(rows))).to_bytes())
