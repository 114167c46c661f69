"""``python -m benchmarks.faults``: see the package."""

import argparse
import importlib
import sys

from benchmarks.common.results import as_text, write_whole
from benchmarks.faults.rows import FOLDER, append, report, rows

COUNTS = {
    "flips": 20,
    "kills": 190,
    "demo_kills": 10,
    "recipe_kills": 30,
    "full": 100,
    "outages": 27,
    "releases": 100,
    "clocks": 20,
    "teams": 106,  # and 128 rows of a team that also attests plans
    "teams_s3": 5,
    "trained": 3,
}
"""Rows of a whole case; a row of ``flips`` and ``teams`` is of several trials."""


def main() -> int:
    """Run what is left of a case; return 1 where a row of it has a violation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("case", choices=[*COUNTS, "report"])
    parser.add_argument("--count", type=int, help="rows of the whole case")
    parser.add_argument("--seed", type=int, default=0, help="of the first row")
    asked = parser.parse_args()
    if asked.case == "report":
        write_whole(FOLDER.with_suffix(".json"), report())
        sys.stdout.write(as_text(report()))
        return 0
    done = {row["seed"] for row in rows(asked.case)}
    trial = importlib.import_module(f"benchmarks.faults.{asked.case}").trial
    for seed in range(asked.seed, asked.seed + (asked.count or COUNTS[asked.case])):
        if seed not in done:
            append(asked.case, {"seed": seed, **trial(seed)})
    return int(any(row["violations"] for row in rows(asked.case)))


if __name__ == "__main__":
    raise SystemExit(main())
