"""The temporary folder of a bundle: what it holds, and its removal. Standard library only.

A bundle decides how deep it nests folders, how long its names are and which rights they have, so
nothing here recurses, and nothing trusts a path.
"""

import os
import stat
import sys
from pathlib import Path

_ENTRY_BYTES = 1024
"""Bytes that a name costs beside its blocks: an inode, and its part of a folder."""
_BLOCK_BYTES = 512
_OWNERS = 0o700
_LONGEST_PATH = 1024
_MOST_PASSES = 100_000
"""Maximum passes, more than the levels that a bundle may make, so that a live process cannot keep
us forever."""


def bytes_in(folder: str, enough: int) -> int:
    """Return the bytes that a folder's files take on the disk; counts no further than ``enough``.

    A folder that cannot be listed, and one nested so deep that a look would take long, count as
    more than enough.
    """
    total, waiting = 0, [folder]
    while waiting and total <= enough:
        path = waiting.pop()
        if len(path) > _LONGEST_PATH:
            return enough + 1
        try:
            found, folders = _level(path)
        except PermissionError:  # who makes a folder may deny it to himself, and so to us
            return enough + 1
        except (FileNotFoundError, NotADirectoryError):  # it changes while we look
            continue
        total += found
        waiting += folders
    return total


def _level(path: str) -> tuple[int, list[str]]:
    """Return the bytes of what lies in a folder itself, and the paths of the folders in it."""
    found, folders = 0, []
    with os.scandir(path) as entries:
        for entry in entries:
            found += _blocks(entry) * _BLOCK_BYTES + _ENTRY_BYTES
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
    return found, folders


def _blocks(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks
    except FileNotFoundError:  # it changes while we look
        return 0


def remove(folder: str) -> bool:
    """Remove a folder with all that is in it, and say whether it is gone; raises nothing."""
    try:
        Path(folder).chmod(_OWNERS)
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _empty(top)
        finally:
            os.close(top)
        Path(folder).rmdir()
    except FileNotFoundError:
        return not os.path.lexists(folder)
    except OSError:
        return False
    return True


def _empty(top: int) -> None:
    """Empty a folder by moving what is deeper up to it: two levels at a time, however many."""
    for _ in range(_MOST_PASSES):
        names = _names(top)
        if not names:
            return
        for name in names:
            if _is_folder(name, top):
                _lift(name, top)
            else:
                os.unlink(name, dir_fd=top)


def _lift(name: str, top: int) -> None:
    """Remove a folder in ``top``; the folders in it become folders of ``top``."""
    _take(name, top)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for entry in _names(inner):
            if _is_folder(entry, inner):
                # Only who may write in a folder moves it elsewhere.
                _take(entry, inner)
                os.rename(entry, os.urandom(16).hex(), src_dir_fd=inner, dst_dir_fd=top)
            else:
                os.unlink(entry, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)


def _take(name: str, parent: int) -> None:
    """Give us all rights to a folder, and to nothing that has taken its place meanwhile."""
    if sys.platform != "linux":
        os.chmod(name, _OWNERS, dir_fd=parent, follow_symlinks=False)
        return
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{handle}").chmod(_OWNERS)
    finally:
        os.close(handle)


def _is_folder(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]
