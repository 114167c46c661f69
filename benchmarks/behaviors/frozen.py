"""What is frozen while the worlds are run: what makes a row, and what judges it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from benchmarks.behaviors.making import Numbers
from benchmarks.behaviors.taught import Size
from benchmarks.common.checkout import ROOT
from benchmarks.common.one_digest import one_digest
from lineage.digest import digest_file, digest_json
from tasks.platform.provenance import code_digest, source_digest

_HERE = Path(__file__).parent
_MAKES = ("kinds.py", "taught.py", "world.py", "making.py", "asking.py", "absence.py", "run.py")
"""Files that decide what a row holds."""
_JUDGES = (
    *("items.py", "calibration.py", "judging.py", "methods.py", "effects.py", "degrees.py"),
    *("adds.py", "spills.py", "goals.py", "tables.py"),
)
"""Files that make the figures of the rows; so does ``_CALIBRATION``."""
_CALIBRATION = ROOT / "tasks" / "attribution" / "calibration.py"


def frozen() -> dict[str, JsonValue]:
    """Return the identity of what makes a row, and apart from it that of what judges it.

    The first covers the product's stages and its audit, the benchmark's own files, and every
    number. All rows of a table have it in common (``digest``).
    """
    parts: dict[str, JsonValue] = {
        "code": source_digest("attribution", "mopd", "release", "sft", "supervised"),
        "makes": digest_json({name: code_digest(_HERE / name) for name in _MAKES}),
        "numbers": Numbers().model_dump(mode="json"),
        "size": digest_json(asdict(Size())),
    }
    return {**parts, "digest": digest_json(parts), "judges": judges()}


def judges() -> str:
    """Return the digest of what makes the figures: its code, and the goals."""
    code: dict[str, JsonValue] = {name: code_digest(_HERE / name) for name in _JUDGES}
    code["answers"] = code_digest(_CALIBRATION)
    return digest_json({**code, "goals.json": digest_file(_HERE / "goals.json")})


def one_state(rows: Mapping[str, Mapping[str, Any]], now: Mapping[str, Any] | None = None) -> str:
    """Return the digest of the one state that all rows are of; "" for no rows.

    Args:
        rows: Rows by name.
        now: The state that is about to add a row.

    Raises:
        SystemExit: for rows of different states, naming some of each.
    """
    found = [(name, str(row["frozen"]["digest"])) for name, row in rows.items()]
    if now is not None:
        found.append(("the code that runs now", str(now["digest"])))
    return one_digest(found, "states")
