"""What is frozen while the family is evaluated: the gate, its thresholds, and the family itself."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import JsonValue

from benchmarks.common.one_digest import one_digest
from benchmarks.common.results import Row
from benchmarks.gate.regression import FILE
from lineage.digest import digest_file, digest_json
from tasks.contracts.remedies import LEAST_AFTER_REMEDY, WarmUpSettings
from tasks.gate.measured import ProbeSettings
from tasks.gate.verdict import GateSettings
from tasks.platform.provenance import code_digest, source_digest

_HERE = Path(__file__).parent
_FAMILY = (
    *("fresh/family.py", "fresh/teachers.py", "fresh/rewording.py", "fresh/one_case.py"),
    *("fresh/predictors.py", "fresh/grader/environment.py", "mismatch.py", "outcome.py"),
)
"""Files that decide what a row holds."""


def frozen_gate() -> dict[str, JsonValue]:
    """Return the gate's identity: digests of its code and of the regression, and every threshold.

    The code is that of the gate, of warm-up and merge, and of what they run (sampling, models); and
    apart from it that of the cases, so that none is changed between two rows.
    """
    parts: dict[str, JsonValue] = {
        "code": source_digest("gate", "sft", "mopd", "supervised"),
        "family": digest_json({name: code_digest(_HERE.parent / name) for name in _FAMILY}),
        "calibration": digest_file(FILE),
        "thresholds": GateSettings().model_dump(mode="json"),
        "probe": ProbeSettings().model_dump(mode="json"),
        "warm_up": WarmUpSettings().model_dump(mode="json"),
        "least_after_remedy": LEAST_AFTER_REMEDY,
    }
    return {**parts, "digest": digest_json(parts)}


def one_gate(rows: Iterable[Row], now: Mapping[str, JsonValue] | None = None) -> str:
    """Return the digest of the one gate that all rows are of; "" for no rows.

    Args:
        rows: Rows of cases.
        now: The gate that is about to add a row.

    Raises:
        SystemExit: for rows of different gates, naming the cases of each.
    """
    found = [(str(row["case"]), str(row["gate"]["digest"])) for row in rows]
    if now is not None:
        found.append(("the code that runs now", str(now["digest"])))
    return one_digest(found, "gates")
