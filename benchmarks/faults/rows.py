"""Rows of the campaign: appended as they end, each with seed and circumstances."""

import json
import sys
from collections.abc import Iterator

from benchmarks.common.checkout import RESULTS, git, is_clean, kept_at
from benchmarks.common.circumstances import facts

FOLDER = RESULTS / "faults"


def commit() -> str:
    """Return the commit, with ``+changed`` where the code differs from it."""
    return git("rev-parse", "HEAD") + ("" if is_clean() else "+changed")


def rows(case: str) -> Iterator[dict[str, object]]:
    """Yield the rows that are there of a case."""
    file = FOLDER / f"{case}.jsonl"
    if file.exists():
        for line in file.read_text("utf-8").splitlines():
            yield json.loads(line)


def append(case: str, row: dict[str, object]) -> None:
    """Append one row and print it; of a checkout with changes, to the drafts."""
    line = json.dumps({**row, **facts()}, sort_keys=True)
    path = kept_at(FOLDER / f"{case}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
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
