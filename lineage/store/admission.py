"""Checks of a folder's content before it enters the store and when it is read.

A checkpoint is opened by people who did not make it. So nothing that runs code when it is loaded
comes in: no pickle, no ``auto_map`` (remote code), no attention kernel fetched from a hub. Nothing
that reaches outside its folder comes in either: no symlink, no absolute or ``..`` path.
"""

import json
import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from lineage.errors import RefusedFileError
from lineage.store.sizes import check_shape, check_sizes, read_header, weights_in

PICKLE_SUFFIXES = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".marshal"}
)
CONFIG_NAMES = frozenset(
    {
        "config.json",
        "tokenizer_config.json",
        "generation_config.json",
        "processor_config.json",
        "preprocessor_config.json",
        "video_preprocessor_config.json",
        "adapter_config.json",
    }
)
_MAX_CONFIG_BYTES = 16 << 20
_MAX_PATH_BYTES = 1024
_MAX_NAME_BYTES = 255
"""The longest file name in bytes that file systems accept."""
_MAX_DEPTH = 64


@dataclass(frozen=True)
class Limits:
    """Sizes above which a folder is refused as a mistake."""

    file_bytes: int = 1 << 40
    tree_bytes: int = 16 << 40
    files: int = 100_000


def check_path(path: str) -> None:
    """Refuse a path that leaves its folder or that looks like another path."""
    pure = PurePosixPath(path)
    unsafe = (
        not path
        or pure.is_absolute()
        or ".." in pure.parts
        or str(pure) != path
        or path == "."
        or "\\" in path
        or len(path.encode("utf-8", "surrogatepass")) > _MAX_PATH_BYTES
        or len(pure.parts) > _MAX_DEPTH
        or any(len(part.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES for part in pure.parts)
        or any(unicodedata.category(letter) in {"Cc", "Cf", "Cs"} for letter in path)
    )
    if unsafe:
        raise RefusedFileError(
            f"path {path[:200]!r} is refused: a file in the store has a plain relative path "
            "without '..', '//', backslashes or invisible characters, with names of up to "
            f"{_MAX_NAME_BYTES} bytes in up to {_MAX_DEPTH} folders; rename the file",
            code="unsafe-path",
        )


def _folded(path: str) -> str:
    """Return what a disk that ignores case and the form of accents knows a path by."""
    return unicodedata.normalize("NFC", path).casefold()


def check_paths(paths: list[str]) -> None:
    """Refuse paths that cannot be in one folder together."""
    seen: dict[str, str] = {}
    for path in paths:
        check_path(path)
        folded = _folded(path)
        if folded in seen:
            raise RefusedFileError(
                f"paths {seen[folded]!r} and {path!r} differ only by case or accents: they would "
                "be one file on some disks; rename one",
                code="same-on-some-disks",
            )
        seen[folded] = path
    for folded, path in seen.items():
        for parent in PurePosixPath(folded).parents:
            if str(parent) in seen:
                raise RefusedFileError(
                    f"{seen[str(parent)]!r} is a file and, on some disks, the folder of {path!r} "
                    "too; rename one",
                    code="file-and-folder",
                )


def list_files(folder: Path, limits: Limits) -> list[tuple[str, int]]:
    """Return (relative path, size in bytes) of each file under ``folder``, sorted by path.

    Raises RefusedFileError for a symlink, a device, a pipe, a pickle, a path that is unsafe, a
    folder without files, and sizes beyond ``limits``.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise RefusedFileError(
            f"{folder} is not a folder: give the folder that holds the files", code="not-a-folder"
        )
    found = sorted(_walk(folder, "", limits))
    if not found:
        raise RefusedFileError(
            f"{folder} is empty: check that the step wrote its output there", code="empty-folder"
        )
    total = sum(size for _, size in found)
    if total > limits.tree_bytes:
        raise RefusedFileError(
            f"{folder} holds {total} bytes, more than the limit of {limits.tree_bytes}; raise "
            "Limits.tree_bytes if that is intended",
            code="too-large",
        )
    check_paths([path for path, _ in found])
    return found


def _walk(folder: Path, prefix: str, limits: Limits) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{prefix}{entry.name}"
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                check_path(path)  # before the next level: endless nesting ends here
                found += _walk(folder / entry.name, f"{path}/", limits)
            else:
                check_file(path, status, limits)
                found.append((path, status.st_size))
            if len(found) > limits.files:
                raise RefusedFileError(
                    f"{folder} holds more than {limits.files} files; pack them, or raise "
                    "Limits.files if that is intended",
                    code="too-many-files",
                )
    return found


def check_file(path: str, status: os.stat_result, limits: Limits) -> None:
    """Refuse one file by its name, type and size."""
    if stat.S_ISLNK(status.st_mode):
        raise RefusedFileError(
            f"{path!r} is a symlink: its target can change after the digest is computed; copy "
            "the file itself into the folder",
            code="symlink",
        )
    if not stat.S_ISREG(status.st_mode):
        raise RefusedFileError(
            f"{path!r} is a pipe, socket or device, not a file; remove it", code="not-a-file"
        )
    if PurePosixPath(_folded(path)).suffix in PICKLE_SUFFIXES:
        raise RefusedFileError(
            f"{path!r} is in a pickle format, which runs code when it is loaded; save weights as "
            "safetensors and remove trainer leftovers (training_args.bin, optimizer.pt)",
            code="pickle",
        )
    if status.st_size > limits.file_bytes:
        raise RefusedFileError(
            f"{path!r} has {status.st_size} bytes, more than the limit of {limits.file_bytes}; "
            "raise Limits.file_bytes if that is intended",
            code="too-large",
        )


def check_content(folder: Path, path: str, size: int) -> None:
    """Refuse a config that loads code or exceeds its weights, and files that are not weights.

    A shard outside the folder and a truncated safetensors file do not count as weights.

    All files of ``folder`` must be in place: an index is compared with the shards that it names.
    """
    name = _folded(PurePosixPath(path).name)
    if name in CONFIG_NAMES:
        _check_config(path, folder / path, size)
    elif name.endswith(".index.json"):
        _check_index(path, folder / path, size)
    elif name.endswith(".safetensors"):
        _check_safetensors(path, folder / path, size)


def _check_config(path: str, file: Path, size: int) -> None:
    if size > _MAX_CONFIG_BYTES:
        raise RefusedFileError(
            f"{path!r} has {size} bytes: a model config is never that large; check that it is "
            "the right file"
        )
    try:
        config: JsonValue = json.loads(file.read_bytes())
        _refuse_code(path, config)
        if _folded(file.name) == "config.json" and (weights := weights_in(file.parent)).tensors:
            check_sizes(path, config, weights)
    except (ValueError, RecursionError) as error:
        if isinstance(error, RefusedFileError):
            raise
        raise RefusedFileError(
            f"{path!r} is not readable JSON ({error}); save it again", code="not-json"
        ) from error


def _check_index(path: str, file: Path, size: int) -> None:
    """Refuse an index of weights outside its folder: a loader would read those files."""
    if size > _MAX_CONFIG_BYTES:
        raise RefusedFileError(
            f"{path!r} has {size} bytes: a shard index is never that large; save the model again"
        )
    try:
        shards = set(json.loads(file.read_bytes())["weight_map"].values())
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise RefusedFileError(
            f"{path!r} is not a valid shard index ({error!r}); save the model again"
        ) from error
    beside = {entry.name for entry in os.scandir(file.parent) if entry.is_file()}
    for shard in shards:
        if shard not in beside:
            raise RefusedFileError(
                f"{path!r} names the shard {str(shard)[:200]!r}, which is not in the same folder: "
                "save the model again with save_pretrained, so that all shards are there"
            )


def _refuse_code(path: str, value: JsonValue) -> None:
    """Walk a config, nested ones too, and refuse every key that names code to load."""
    if isinstance(value, list):
        for item in value:
            _refuse_code(path, item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key in {"auto_map", "custom_generate", "trust_remote_code"} and item:
            raise RefusedFileError(
                f"{path!r} has {key!r}: it makes a loader import code that came with the model; "
                "use an architecture that transformers has, and remove the key",
                code="loads-code",
            )
        if key.endswith("_implementation") and _names_a_repository(item):
            raise RefusedFileError(
                f"{path!r} sets {key!r} to {item!r}: a kernel fetched from a hub is code; use "
                "'eager', 'sdpa' or 'flash_attention_2'",
                code="loads-code",
            )
        _refuse_code(path, item)


def _names_a_repository(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return any(_names_a_repository(item) for item in value.values())
    return isinstance(value, str) and "/" in value


def _check_safetensors(path: str, file: Path, size: int) -> None:
    """Check that the header is whole and that the tensors fill the rest of the file."""
    cure = "the file is truncated or was not saved as safetensors; save it again"
    try:
        header, length = read_header(file)
        for entry in header.values():
            check_shape(entry)
        ends = [entry["data_offsets"][1] for entry in header.values()]
    except (ValueError, RecursionError, TypeError, KeyError, IndexError) as error:
        raise RefusedFileError(f"{path!r}: its header is not readable ({error}); {cure}") from error
    if max(ends, default=0) != size - 8 - length:
        raise RefusedFileError(
            f"{path!r}: its tensors do not fill the file; {cure}", code="bad-safetensors"
        )
