"""A disk that fills up at a random write, on a file system of its own. Needs the right to mount."""

import os
import random
import subprocess
import tempfile
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.errors import LineageError
from lineage.operations.verify import Verifier
from lineage.records.record import Input, Records
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore
from tests.support.making import checkpoint, take, write_record

SIZE = 4 << 20
"""Bytes of the file system: a climb of five checkpoints takes about half of it."""


def _climb(store: FolderStore, folder: Path, said: list[tuple[str, str]]) -> None:
    """Make and release five checkpoints; ``said`` gets what was acknowledged."""
    parent: tuple[Input, ...] = ()
    for step in range(5):
        place = folder / f"step-{step}-{len(list(folder.iterdir()))}"
        tree = store.put_tree(checkpoint(place, random.Random(step).randbytes(300_000)))
        made = write_record(store, b"", *parent, output=tree, step=step)
        said.append(made)
        parent = (take("start", made),)
        artifact = Artifact(kind="checkpoint", digest=made[1], record=made[0])
        Registry(store).register("teacher.math", artifact, owner="team")


def trial(seed: int) -> dict[str, object]:
    """Leave a random number of bytes, climb until that ends, make room, and climb again."""
    rng = random.Random(seed)
    violations: list[str] = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        place = Path(folder, "disk")
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place], check=True)
        try:
            root, ballast = Path(place, "store"), Path(place, "ballast")
            store = FolderStore(root)
            left = rng.randrange(16 << 10, 1_400_000)
            ballast.write_bytes(bytes(SIZE - (128 << 10) - left))
            said: list[tuple[str, str]] = []
            ended = ""
            try:
                _climb(store, Path(scratch), said)
            except LineageError as error:
                ended = type(error).__name__
            except OSError as error:
                violations.append(f"a raw {type(error).__name__}: {os.strerror(error.errno or 0)}")
            ballast.unlink()
            violations += _look(FolderStore(root), said)
            _climb(FolderStore(root), Path(scratch), said)
            violations += _look(FolderStore(root), said)
            versions = [e.version for e in Registry(FolderStore(root)).versions("teacher.math")]
            if versions != [1, 2, 3, 4, 5]:
                violations.append(f"versions {versions}")
        finally:
            subprocess.run(["umount", "--lazy", place], check=True)
    return {"trials": 1, "ended": ended, "left": left, "violations": violations}


def _look(store: FolderStore, said: list[tuple[str, str]]) -> list[str]:
    """Return what was acknowledged and is not there, or not whole."""
    wrong = []
    for record, output in said:
        found = Records(store).output(record)
        if found is None or found.output != output:
            wrong.append(f"lost {record}")
        wrong += [problem.what for problem in Verifier(store).verify(record).problems]
    return wrong
