"""The record of a consolidation that failed after its plan: why, and what is there already."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.graph import Lineage
from lineage.record import Derivation, Input
from tasks.handover import Plan
from tasks.mopd.orders import Order
from tasks.provenance import source_digest
from tasks.step import FIND_ONLY, Bench, Measurements, now

MOST_CHARACTERS = 4_000
"""Of the error that are kept: its beginning says what happened, its end is a trace."""


@dataclass(frozen=True)
class Made:
    """Something that a rerun will find."""

    kind: str
    """Of the record: mopd, merge, evaluation."""
    record: str
    output: str


def record_failure(bench: Bench, planned: Plan, order: Order, error: str) -> Artifact | None:
    """Write a record of kind "failure" that descends from the plan; a second failure attests anew.

    Every record is written whole or not at all, so that the lineage is consistent without it. This
    says that someone tried. None where a run was only asked to find finished work.
    """
    if os.environ.get(FIND_ONLY):
        return None
    plan = planned.artifact
    assert plan is not None
    started = now()
    settings: dict[str, JsonValue] = {
        "error": error[:MOST_CHARACTERS],
        "publish_as": order.publish_as,
        "rounds": order.rounds,
        "round": order.settings.model_dump(mode="json"),
    }
    derivation = Derivation(
        project=bench.project,
        kind="failure",
        inputs=(Input(role="plan", artifact=plan.digest, record=plan.record),),
        source=source_digest("mopd"),
        settings=settings,
        seed=order.seed,
    )
    made = [asdict(item) for item in already_made(bench, planned)]
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        path = Path(folder, "failure.json")
        path.write_text(json.dumps({**settings, "made": made}, indent=1), encoding="utf-8")
        nothing = Measurements("failure")
        return bench.commit(derivation, "failure", path, started, nothing, "consolidation")


def already_made(bench: Bench, plan: Plan) -> list[Made]:
    """Return what took every planned teacher (rounds and merges), and what was made of that."""
    index = Lineage(bench.store).index
    users = [
        set(index.users(teacher.checkpoint.digest))
        for teacher in plan.teachers
        if not teacher.is_self
    ]
    starts = set.intersection(*users) if users else set()
    records = starts.union(*(index.descendants(start) for start in starts))
    # Whoever took them all through their releases is another plan, or stands beside this one.
    rows = [row for row in index.rows(sorted(records)) if row.kind not in {"plan", "failure"}]
    return [Made(row.kind, row.digest, row.output) for row in rows]
