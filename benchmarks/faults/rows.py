"""Rows of the campaign: appended as they end, each with commit, seed and machine."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "results" / "faults"


def commit() -> str:
    """Return the commit, with ``+changed`` where the code differs from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    changed = git(
        "status", "--porcelain", "--", "lineage", "tasks", "workflows", "benchmarks/faults"
    )
    return git("rev-parse", "HEAD") + ("+changed" if changed else "")


def rows(case: str) -> Iterator[dict[str, object]]:
    """Yield the rows that are there of a case."""
    file = FOLDER / f"{case}.jsonl"
    if file.exists():
        for line in file.read_text("utf-8").splitlines():
            yield json.loads(line)


def append(case: str, row: dict[str, object]) -> None:
    """Append one row and print it."""
    circumstances = {
        "commit": commit(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    line = json.dumps({**row, **circumstances}, sort_keys=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{case}.jsonl").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def report() -> dict[str, object]:
    """Return, for each case, how many trials there were, of which kinds, and what went wrong."""
    found: dict[str, object] = {}
    for file in sorted(FOLDER.glob("*.jsonl")):
        known = list(rows(file.stem))
        wrong = [row for row in known if row["violations"]]
        found[file.stem] = {
            "trials": sum(int(str(row["trials"])) for row in known),
            "rows": len(known),
            "violations": len(wrong),
            "commits": sorted({str(row["commit"]) for row in known}),
            "command": f"python -m benchmarks.faults {file.stem}",
        }
    return found
