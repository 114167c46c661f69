"""SIGKILL of a whole consolidation, or of a recipe, at a random moment, then the same again."""

import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

from benchmarks.faults.homes import SMOKE, Job, Run, home_with_teachers, made_in, undisturbed
from lineage.errors import LineageError
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.store.store import FolderStore, Store


def trial(seed: int, job: Job = SMOKE) -> dict[str, object]:
    """Kill once, look, go on to the end, and compare."""
    finished, seconds = undisturbed(job)
    expected = made_in(job, FolderStore(finished / "store"))
    after = random.Random(seed).uniform(0, seconds)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        shutil.copytree(home_with_teachers(job), home, symlinks=True)
        run = Run(job, home)
        time.sleep(after)
        run.kill(signal.SIGKILL)
        store = FolderStore(home / "store")
        acknowledged, violations = whole(store)
        if failed := Run(job, home).finish():
            violations.append(failed)
        else:
            if (found := made_in(job, FolderStore(home / "store"))) != expected:
                violations.append(f"another result: {found}, not {expected}")
            lost = acknowledged - set(Records(FolderStore(home / "store")).all())
            violations += [f"lost {record}" for record in sorted(lost)]
    return {
        "trials": 1,
        "after_seconds": round(after, 2),
        "of_seconds": round(seconds, 2),
        "records_at_the_kill": len(acknowledged),
        "violations": violations,
    }


def whole(store: Store) -> tuple[set[str], list[str]]:
    """Return the records that are there after a fault, and what of them is not whole."""
    records, problems = Records(store), []
    found = set(records.all())
    covered: set[str] = set()
    try:
        taken = {item.record for record in found for item in records.read(record).inputs}
        for record in sorted(found, key=taken.__contains__):
            if record not in covered:  # what an earlier one descends from was verified with it
                verified = Verifier(store).verify(record, covered.add)
                problems += [f"{problem.subject}: {problem.what}" for problem in verified.problems]
    except LineageError as error:
        problems.append(str(error))
    return found, problems
