"""The record of an approval: who read which plan, what was decided, and why."""

import json
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.errors import LineageError
from lineage.record import Derivation, Input
from tasks.handover import Gated
from tasks.provenance import source_digest
from tasks.step import Bench, Measurements

KIND = "approval"
Decision = Literal["approved", "rejected"]


def record_approval(
    bench: Bench, gated: Gated, decision: Decision, by: str, reason: str
) -> Artifact:
    """Record a person's decision on a plan behind the gate; the record descends from the plan.

    Raises:
        LineageError: for no name, or no reason.
    """
    for name, text in (("--by", by), ("--reason", reason)):
        if not text.strip():
            raise LineageError(f"{name} is empty: who decides, and why, stays with the student")
    plan, run = gated.plan.artifact, bench.run
    assert plan is not None
    said: dict[str, JsonValue] = {
        "decision": decision,
        "by": by,
        "reason": reason,
        "execution": run.name if run else "",
        "summary": gated.summary,
    }
    derivation = Derivation(
        project=bench.project,
        kind=KIND,
        inputs=(Input(role="plan", artifact=plan.digest, record=plan.record),),
        source=source_digest("gate"),
        settings=said,
        seed=0,
    )

    def make(folder: Path, _measurements: Measurements) -> Path:
        path = folder / "approval.json"
        path.write_text(json.dumps(said, indent=1), encoding="utf-8")
        return path

    return bench.find_or_make(derivation, KIND, make, owner="consolidation")
