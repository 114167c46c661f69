"""Records a consolidation that failed. Loads no model: a failure node has little memory."""

from pydantic import JsonValue

from lineage.artifacts import Artifact
from tasks.contracts.handover import Plan
from tasks.contracts.planned import already_made
from tasks.mopd.round_form import ConsolidationSpec
from tasks.platform.console_errors import Told
from tasks.platform.failure import Failure, Work, leave_record, of_execution, recorded_inputs
from tasks.platform.step_runner import StepRunner

TASK = "workflows.consolidation.stages.carry_out"


def record_failure(
    runner: StepRunner, plan: Plan, spec: ConsolidationSpec, error: Told
) -> Artifact | None:
    """Write a record of kind "failure" that descends from the plan, unless its execution has one.

    The lineage is consistent without it, because every record is written whole or not at all. The
    record shows that someone tried.
    """
    if runner.run and of_execution(runner, runner.run):
        return None
    settings: dict[str, JsonValue] = {
        "publish_as": spec.publish_as,
        "rounds": spec.rounds,
        "round": spec.settings.model_dump(mode="json"),
    }
    work = Work(
        recorded_inputs({"plan": plan}), settings, already_made(runner, plan), seed=spec.seed
    )
    return leave_record(runner, Failure(TASK, error.name, error.sentence, error.frames), work)
