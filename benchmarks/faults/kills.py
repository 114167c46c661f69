"""SIGKILL of a whole consolidation at a random moment, then the same again."""

import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

from benchmarks.faults.homes import SMOKE, Job, Run, home_with_teachers, student_in, undisturbed
from lineage.errors import LineageError
from lineage.record import Records
from lineage.store import FolderStore
from lineage.verify import Verifier


def trial(seed: int, job: Job = SMOKE) -> dict[str, object]:
    """Kill once, look, go on to the end, and compare."""
    finished, seconds = undisturbed(job)
    expected = student_in(job, finished)
    after = random.Random(seed).uniform(0, seconds)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        shutil.copytree(home_with_teachers(job), home, symlinks=True)
        run = Run(job, home)
        time.sleep(after)
        run.kill(signal.SIGKILL)
        acknowledged, violations = _whole(home)
        if failed := Run(job, home).finish():
            violations.append(failed)
        else:
            if (found := student_in(job, home)) != expected:
                violations.append(f"another student: {found}, not {expected}")
            lost = acknowledged - set(Records(FolderStore(home / "store")).all())
            violations += [f"lost {record}" for record in sorted(lost)]
    return {
        "trials": 1,
        "after_seconds": round(after, 2),
        "of_seconds": round(seconds, 2),
        "records_at_the_kill": len(acknowledged),
        "violations": violations,
    }


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
