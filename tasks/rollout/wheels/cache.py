"""Wheels unpacked once: a folder for each, under the wheel's own SHA-256, verified at each use.

What lies in the cache is compared with the wheel, whose hash the lock states. So a folder that
someone has touched is made anew, and no folder is trusted for lying there.
"""

import hashlib
import os
import shutil
import uuid
import zipfile
from pathlib import Path

from lineage.digest import hex_of
from lineage.store.store import home
from tasks.rollout.wheels.contents import Wheel, verify_bytes

_CHUNK_BYTES = 1 << 20


def wheel_cache() -> Path:
    """Return the folder of unpacked wheels, which all stores of this machine share."""
    return home() / "cache" / "wheels"


def unpacked(wheel: Wheel, digest: str, root: Path) -> Path:
    """Return the verified read-only folder of a wheel's files; ``digest`` is the file's.

    Raises:
        RefusedError: ``hostile-wheel``, if RECORD contradicts a file.
    """
    folder = root / hex_of(digest)
    if _is_intact(folder, wheel):
        return folder
    verify_bytes(wheel)
    root.mkdir(parents=True, exist_ok=True)
    unfinished = _aside(root)
    try:
        _unpack(wheel, unfinished)
        try:
            unfinished.rename(folder)
        except OSError:  # it is there: another process made it meanwhile, or it was touched
            if not _is_intact(folder, wheel):
                touched = _aside(root)
                folder.rename(touched)
                _remove(touched)
                unfinished.rename(folder)
    finally:
        _remove(unfinished)
    return folder


def _aside(root: Path) -> Path:
    return root / f"unfinished-{uuid.uuid4().hex}"


def _is_intact(folder: Path, wheel: Wheel) -> bool:
    """Return whether a folder holds the wheel's files with its bytes, and nothing else."""
    if folder.is_symlink():
        return False
    present = set()
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            if path.is_symlink():
                return False
            if path.is_file():
                present.add(path.relative_to(folder).as_posix())
    if present != wheel.infos.keys():
        return False
    return all(_is_as_recorded(wheel, target, folder / target) for target in wheel.infos)


def _unpack(wheel: Wheel, into: Path) -> None:
    """Write a verified wheel's files under a new folder, for reading alone."""
    with zipfile.ZipFile(wheel.path) as archive:
        for target, info in wheel.infos.items():
            file = into / target
            file.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, file.open("xb") as written:
                while chunk := source.read(_CHUNK_BYTES):
                    written.write(chunk)
            file.chmod(0o444)


def _is_as_recorded(wheel: Wheel, target: str, file: Path) -> bool:
    """Return whether an unpacked file has the bytes that the wheel has for it."""
    known = wheel.hashes.get(target)
    if known is None:  # RECORD itself
        with zipfile.ZipFile(wheel.path) as archive:
            return file.read_bytes() == archive.read(wheel.infos[target])
    algorithm, expected = known
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, algorithm).digest() == expected


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        shutil.rmtree(folder)
