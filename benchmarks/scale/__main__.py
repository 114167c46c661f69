"""Make the organization at shares of its size, and write what everyday questions cost.

    python -m benchmarks.scale 0.01 0.1            # minutes; 1 takes most of an hour

The full size takes 2 GB of disk below --folder, which is freed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts, write
from benchmarks.common.results import load
from benchmarks.scale.organization import ROUNDS, RUNGS, SEED, TEAMS, Organization, teams_at

TARGETS = {
    "ancestors": "at most 50 ms",
    "list": "at most 0.3 s",
    "recall": "at most 5 s",
    "page": "at most 3 MB",
}


def main() -> None:
    """Measure each size in a process of its own, and write ``results/scale.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shares", nargs="+", type=float)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json")
    parser.add_argument("--part", action="store_true", help="Measure one share here.")
    given = parser.parse_args()
    if given.part:
        _part(given.shares[0], given.folder, given.out)
        return
    circumstances, sizes = facts(), []
    for share in given.shares:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            out = Path(folder) / "row.json"
            mine = [sys.executable, "-m", "benchmarks.scale", str(share), "--part"]
            subprocess.run([*mine, "--folder", folder, "--out", out], check=True)
            sizes.append(load(out, {})["figures"])
            for name in ("store", "home"):
                shutil.rmtree(Path(folder) / name)
    figures = {"seed": SEED, "rounds": ROUNDS, "targets": TARGETS, "sizes": sizes}
    write(given.out, {**figures, "growth": growth(sizes)}, circumstances)


def _part(share: float, folder: Path, out: Path) -> None:
    """Make and ask one size in ``folder``."""
    os.environ |= {"PROVOST_HOME": str(folder / "home"), "PROVOST_STORE": str(folder / "store")}
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    from benchmarks.scale.measure import questions  # noqa: PLC0415 - after the home is set
    from lineage.store.store import FolderStore  # noqa: PLC0415

    store = FolderStore(folder / "store")
    made = Organization(store, teams_at(share))
    start = time.process_time()
    made.make()
    figures = {
        "share": share,
        "teams": made.teams,
        "releases": made.releases,
        "checkpoints": made.checkpoints,
        "records": made.records,
        "made_in_processor_seconds": round(time.process_time() - start, 1),
        "disk_bytes": sum(file.lstat().st_blocks * 512 for file in folder.rglob("*")),
    }
    write(out, {**figures, **questions(made, folder / "home")}, {})


def growth(sizes: list[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return by what each question's processor time grew from one size to the next."""
    times = [_processor_seconds(size) for size in sizes]
    return {
        name: [round(after[name] / max(before[name], 1e-3), 1) for before, after in pairwise(times)]
        for name in times[0]
    }


def _processor_seconds(size: Mapping[str, Any]) -> dict[str, float]:
    of_the_graph = {name: value / 1000 for name, value in size["milliseconds"].items()}
    return of_the_graph | {name: row["processor"] for name, row in size["seconds"].items()}


if __name__ == "__main__":
    assert TEAMS * ROUNDS * RUNGS == 100_000
    main()
