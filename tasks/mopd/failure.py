"""The record of a consolidation that failed after its plan, where no step of it could write one."""

from pydantic import JsonValue

from lineage.artifacts import Artifact
from tasks.failing import Told
from tasks.failure import Failure, Work, already_made, leave_record, of_execution, recorded_inputs
from tasks.handover import Plan
from tasks.mopd.orders import Order
from tasks.step import Bench

TASK = "workflows.consolidation.stages.carry_out"


def record_failure(bench: Bench, plan: Plan, order: Order, said: Told) -> Artifact | None:
    """Write a record of kind "failure" that descends from the plan, if its execution has none.

    Every record is written whole or not at all, so that the lineage is consistent without it. This
    says that someone tried.
    """
    if bench.run and of_execution(bench, bench.run):
        return None
    settings: dict[str, JsonValue] = {
        "publish_as": order.publish_as,
        "rounds": order.rounds,
        "round": order.settings.model_dump(mode="json"),
    }
    work = Work(
        recorded_inputs({"plan": plan}), settings, already_made(bench, plan), seed=order.seed
    )
    return leave_record(bench, Failure(TASK, said.name, said.sentence, said.frames), work)
