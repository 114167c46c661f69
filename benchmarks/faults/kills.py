"""SIGKILL of a whole consolidation at a random moment, then the same again."""

import os
import random
import shutil
import signal
import tempfile
import time
from functools import cache
from pathlib import Path

from benchmarks.faults.homes import consolidation, finish, home_with_teachers
from lineage.artifacts import Student, read_manifest
from lineage.errors import LineageError
from lineage.record import Records
from lineage.registry import Registry
from lineage.store import FolderStore
from lineage.verify import Verifier


@cache
def undisturbed() -> tuple[float, str]:
    """Return how long a consolidation takes in seconds, and the student that comes of it."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        shutil.copytree(home_with_teachers(), home, symlinks=True)
        begun = time.monotonic()
        failed = finish(consolidation(home))
        if failed:
            raise RuntimeError(failed)
        return time.monotonic() - begun, _student(home)


def _student(home: Path) -> str:
    store = FolderStore(home / "store")
    entry = Registry(store).resolve("student.smoke@latest")
    return read_manifest(store, entry.digest, Student).checkpoint.digest


def trial(seed: int) -> dict[str, object]:
    """Kill once, look, go on to the end, and compare."""
    seconds, expected = undisturbed()
    after = random.Random(seed).uniform(0, seconds)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        shutil.copytree(home_with_teachers(), home, symlinks=True)
        process = consolidation(home)
        time.sleep(after)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        acknowledged, violations = _whole(home)
        if failed := finish(consolidation(home)):
            violations.append(failed)
        else:
            if _student(home) != expected:
                violations.append(f"another student: {_student(home)}, not {expected}")
            lost = acknowledged - set(Records(FolderStore(home / "store")).all())
            violations += [f"lost {record}" for record in sorted(lost)]
    return {"trials": 1, "after_seconds": round(after, 2), "violations": violations}


def _whole(home: Path) -> tuple[set[str], list[str]]:
    """Return the records that are there after the kill, and what of them is not whole."""
    store = FolderStore(home / "store")
    records, problems = Records(store), []
    found = set(records.all())
    for record in sorted(found):
        try:
            problems += [
                f"{problem.subject}: {problem.what}"
                for problem in Verifier(store).verify(record).problems
            ]
        except LineageError as error:
            problems.append(str(error))
    return found, problems
