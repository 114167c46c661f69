"""Publishes a consolidated model as a student, if its records are of one consolidation."""

from collections.abc import Mapping

from lineage.artifacts import Artifact, Student, TeacherShare, check_parts
from lineage.launches.waiver import read_waiver
from lineage.operations.recall import refuse_recalled_family
from lineage.rules.evidence import Breach, Evidence, refuse_broken
from lineage.rules.measured import FORK_POINT, METHOD, STUDENT, measured, tokens_routed
from lineage.rules.student import check_student, settings_of
from tasks.contracts.handover import Gated, Plan
from tasks.contracts.planned import stored_plan
from tasks.contracts.publication import publish
from tasks.platform.step_runner import StepRunner
from tasks.release.release import derivation_of, record_manifest


def publish_student(runner: StepRunner, gated: Gated, scorecard: Artifact, name: str) -> Artifact:
    """Publish what a scorecard measured as the student, under ``student.<name>``.

    The plan is read from the store; checkpoint and controls are those that were measured.

    Raises:
        BrokenRuleError: if scorecard, plan, verdict and approval are not of one consolidation.
        RecalledError: if an ancestor of the student has been recalled.
        LineageError: for an invalid plan, waiver or part. Nothing is written then.
    """
    plan = stored_plan(runner, gated.plan.artifact)
    plan = plan.model_copy(update={"waivers": gated.plan.waivers})
    manifest = _manifest(runner, plan, scorecard)
    parts = _parts(manifest, plan, gated)
    check_parts(runner.store, manifest)
    made = derivation_of(runner, "student", parts, "")
    what = f"student.{name}"
    refuse_broken(what, list(check_student(Evidence(runner.store), made, manifest)))
    _refuse_waivers(runner, plan)
    refuse_recalled_family(runner.store, parts.values())
    published = record_manifest(runner, "student", manifest, parts)
    publish(runner, f"student.{name}", published, owner=manifest.owner)
    return published


def _manifest(runner: StepRunner, plan: Plan, scorecard: Artifact) -> Student:
    assert plan.artifact is not None
    student, controls = _compared(runner, scorecard)
    tokens = tokens_routed(Evidence(runner.store), student, plan.student)
    return Student(
        checkpoint=student,
        fork_point=plan.fork_point,
        teachers=tuple(
            TeacherShare(
                domain=teacher.domain,
                release=teacher.release.digest,
                reference=teacher.reference,
                weight=teacher.share,
                tokens_routed=tokens[teacher.name],
            )
            for teacher in plan.teachers
        ),
        settings=dict(settings_of(runner.records.read(student.record))),
        scorecard=scorecard,
        controls=dict(controls),
        plan=plan.artifact.digest,
        waivers=tuple(waiver.digest for waiver in plan.waivers),
        owner="consolidation",
    )


def _parts(manifest: Student, plan: Plan, gated: Gated) -> dict[str, Artifact]:
    """Return the inputs of the student's record, which lead to all of its parts."""
    assert plan.artifact is not None
    approval = {"approval": gated.approval} if gated.approval else {}
    return {
        **manifest.artifacts(),
        "plan": plan.artifact,
        "gate": gated.report,
        **approval,
        **{f"release.{teacher.name}": teacher.release for teacher in plan.teachers},
        # By these the waivers are among the student's ancestors forever.
        **{f"waiver[{number}]": waiver for number, waiver in enumerate(plan.waivers)},
    }


def _compared(runner: StepRunner, scorecard: Artifact) -> tuple[Artifact, Mapping[str, Artifact]]:
    """Return the student and the controls that a scorecard measured."""
    rows = measured(Evidence(runner.store), runner.records.read(scorecard.record))
    found: dict[str, set[Artifact]] = {}
    for row in rows:
        if row.label.startswith(METHOD):
            found.setdefault(row.label.removeprefix(METHOD), set()).add(row.checkpoint)
    mixed = sorted(label for label, checkpoints in found.items() if len(checkpoints) > 1)
    if mixed or STUDENT not in found:
        evidence = f"{mixed} are several models each" if mixed else "it did not measure a student"
        refuse_broken("the student", [Breach("scorecard", evidence)])
    models = {label: checkpoints.pop() for label, checkpoints in found.items()}
    student = models.pop(STUDENT)
    return student, {label: model for label, model in models.items() if label != FORK_POINT}


def _refuse_waivers(runner: StepRunner, plan: Plan) -> None:
    """Raise LineageError for an invalid waiver, or one of another plan."""
    for waiver in plan.waivers:
        [of] = [i for i in runner.records.read(waiver.record).inputs if i.role == "plan"]
        waived = Artifact(kind="plan", digest=of.artifact, record=of.record)
        read_waiver(runner.store, waiver.digest, waived)
