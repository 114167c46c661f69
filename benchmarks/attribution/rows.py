"""The raw rows of the attribution benchmark: what was asked of every set, in one committed file.

All tables are made from them alone, so that a reader can make them again.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.checkout import RESULTS
from benchmarks.common.results import Row

FILE = RESULTS / "attribution_rows.json.gz"
PARTS = ("truth", "estimates", "rehearsals", "shorts", "cost")


def collected(runs: Path, numbers: Sequence[int]) -> Row:
    """Return what was asked of some sets, by set and seed, and the demo's costs.

    A part that was not asked yet is not there.
    """
    return {
        "sets": {str(number): _set(runs / f"set-{number}") for number in numbers},
        "demo": _document(runs / "demo.json"),
    }


def _set(folder: Path) -> Row:
    seeds = {}
    for home in sorted(folder.glob("seed-*")):
        parts = {part: _document(home / f"{part}.json") for part in PARTS}
        asked = {part: found for part, found in parts.items() if found is not None}
        if asked:
            seeds[home.name.removeprefix("seed-")] = asked
    return {"two_holders": _document(folder / "two-holders.json"), "seeds": seeds}


def _document(file: Path) -> Row | None:
    if not file.exists():
        return None
    found: Row = json.loads(file.read_text("utf-8"))
    return found
