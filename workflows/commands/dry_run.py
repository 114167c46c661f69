"""A consolidation up to its plan and cost: ``provost run consolidation --dry-run``."""

from collections.abc import Mapping
from typing import Any

from lineage.registry.registry import check_may_publish
from tasks.mopd.launch_form import launch_spec
from workflows.commands.documents import DryRun, EstimateLine, PlanFinding
from workflows.commands.output import emit, say


def dry_run(inputs: Mapping[str, Any], as_document: bool) -> bool:
    """Print the plan of a launch and what it will take; return whether it may be launched.

    The plan is stored, so that ``provost waive`` can accept its findings. No launch is recorded.

    Raises:
        LineageError: for a reference that names nothing.
        MisfitError: if a reference is not a teacher.
    """
    from tasks.gate.decision import MisfitError, decide
    from tasks.gate.plan import propose
    from tasks.gate.plan_page import plan_text
    from tasks.gate.task import cost_of
    from tasks.platform.step_runner import StepRunner

    launch = launch_spec(inputs)
    runner = StepRunner()
    check_may_publish(runner.store, f"student.{launch.spec.publish_as}")
    plan = propose(runner, inputs["teachers"], inputs["student"], launch.spec.sampling)
    cost = cost_of(
        runner, plan, launch.workload, launch.gate, launch.spec.sampling, launch.ladder_stages
    )
    refusal = ""
    try:
        decide(runner, plan, launch.gate.refuse_findings_from, inputs["waivers"])
    except MisfitError as error:
        refusal = str(error)
    assert plan.artifact is not None
    if as_document:
        emit(
            DryRun(
                plan=plan.artifact.digest,
                student=plan.student.digest,
                teachers={teacher.name: teacher.reference for teacher in plan.teachers},
                findings=[
                    PlanFinding(
                        subject=note.subject,
                        code=note.code,
                        severity=note.severity,
                        evidence=note.evidence,
                        next_step=note.next_step,
                    )
                    for note in plan.notes
                ],
                estimates=[EstimateLine(name=name, value=value) for name, value in cost.lines()],
                refusal=refusal,
            )
        )
    else:
        for line in plan_text(plan, cost, launch.spec.conditions).splitlines():
            say(line)
        say()
        say(refusal or "Nothing was trained. Run the same command without --dry-run to launch it.")
    return not refusal
