"""``python -m benchmarks.mutants``: see the package."""

import argparse
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

from benchmarks.common.circumstances import facts
from benchmarks.common.results import load, write_whole
from benchmarks.mutants import run
from benchmarks.mutants.draw import SEED, draw
from benchmarks.mutants.rooms import ROOMS, ROOT

DRAWN = ROOT / "benchmarks" / "results" / "mutants_drawn.json"


def main() -> int:
    """Draw, run or count; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants")
    parser.add_argument("command", choices=["draw", "run", "table"])
    parser.add_argument("files", nargs="*", type=Path, help="the results")
    parser.add_argument("--room", choices=list(ROOMS), help="this room's mutants alone")
    given = parser.parse_args()
    if given.command == "draw":
        write_whole(DRAWN, {"seed": SEED, **_begun(), "rows": draw()})
    elif given.command == "run":
        _run(given.files[0], given.room)
    else:
        for file in given.files:
            sys.stdout.write(_table(file))
    return 0


def _run(file: Path, room: str | None) -> None:
    """Run the drawn mutants that the file has no outcome of; write it after each."""
    drawn = load(DRAWN, {})["rows"]
    result = load(file, {**_begun(), "rows": []})
    if result["commit"] != run.commit():
        raise ValueError(f"{file} is of commit {result['commit']}: name another file")
    done = {row["id"] for row in result["rows"]}
    left = [row for row in drawn if row["id"] not in done and room in (None, row["room"])]
    for name, rows in groupby(left, key=lambda row: row["room"]):
        run.check_room(name)
        for row in rows:
            result["rows"].append({**row, **run.outcome(row)})
            write_whole(file, result)
            last = result["rows"][-1]
            sys.stdout.write(f"{last['id']} {last['outcome']} {last.get('by', '')}\n")
            sys.stdout.flush()


def _begun() -> dict[str, object]:
    """Return the commit of the product and its tests, and the circumstances of the run."""
    return {"commit": run.commit(), "circumstances": facts()}


def _table(file: Path) -> str:
    rows = load(file, {"rows": []})["rows"]
    lines = [f"{file.name}, {len(rows)} mutants"]
    for room in ROOMS:
        counts = Counter(row["outcome"] for row in rows if row["room"] == room)
        lines.append(f"  {room}: " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items())))
    lines += [
        f"  {row['outcome']}: {row['id']} {row['module']} {row['function']}: {row['after']}"
        for row in rows
        if row["outcome"] != "killed"
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
