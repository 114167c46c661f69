"""Homes that tests hand on: a worker copies one again only after a test has written into it."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.support.tiny_faculty import copy_home

DATABASE = "mlflow.db"


class KeptHomes:
    """At most one copy of each finished home, as it was made."""

    def __init__(self, folder):
        self._folder = folder
        self._kept = {}
        """Finished home -> where its copy lies, if no test has it."""

    @contextmanager
    def lent(self, source, target):
        """Have a copy of ``source`` at ``target``; keep it if it was only read."""
        if source in self._kept:
            self._kept.pop(source).rename(target)
            # Of an MLflow database that was open elsewhere, this process keeps connections.
            for file in target.glob(f"{DATABASE}*"):
                file.unlink()
            for file in source.glob(f"{DATABASE}*"):
                shutil.copy2(file, target)
        else:
            copy_home(source, target)
        before = appearance(target)
        yield
        if target.exists() and was_only_read(before, appearance(target)):
            self._kept[source] = target.rename(self._folder / uuid4().hex)


def appearance(folder):
    """Return the rights of every folder in a home, and of each file what a write changes.

    The MLflow database is left out: each test has one of its own.
    """
    found = {}
    for root, folders, files in os.walk(folder):
        inside = Path(root).relative_to(folder)
        found |= {inside / name: os.lstat(Path(root, name)).st_mode for name in folders}
        for name in files:
            if name.startswith(DATABASE):
                continue
            facts = os.lstat(Path(root, name))
            found[inside / name] = (facts.st_mode, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    return found


def was_only_read(before, after):
    """Return whether a home differs at most by what readers leave: an index, and linked trees."""
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    blobs = {looks for path, looks in before.items() if path.is_relative_to("store/blobs")}
    return all(
        path.is_relative_to("store/unfinished")
        or (path not in before and path.parent == Path("index"))
        or (
            path not in before
            and path.is_relative_to("store/trees")
            and is_tree(after[path], blobs)
        )
        for path in changed
    )


def is_tree(looks, blobs):
    """Return whether a folder, or a file that is a link to a blob, looks like this."""
    return isinstance(looks, int) or looks in blobs
