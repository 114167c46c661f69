"""A plan as it is stored: tasks hand plans to each other, and what they hand on is held to it."""

import json

from pydantic import JsonValue, ValidationError

from lineage.artifacts import Artifact, Student, read_manifest, without_places
from lineage.errors import LineageError
from lineage.graph.graph import Lineage
from lineage.records.record import Derivation, Input
from lineage.registry.registry import Registry
from lineage.registry.valid_recalls import Used
from lineage.rules.evidence import Evidence, same, taken
from tasks.contracts.handover import Plan, TeacherVerdict
from tasks.platform.failure import KIND as FAILURE
from tasks.platform.step_runner import StepRunner

JUDGED = "judged.json"
"""The gate's report as numbers, inside its folder."""


def stored_plan(runner: StepRunner, artifact: Artifact | None) -> Plan:
    """Return the stored plan of an artifact.

    Raises:
        LineageError: the artifact is not a plan of this store.
    """
    if artifact is None:
        raise LineageError(
            "this plan was never stored, so it cannot be published: launch the workflow "
            "`consolidate`, which plans first"
        )
    given = {
        row.output
        for row in runner.records.attestations(artifact.record)
        if row.output_kind == "plan"
    }
    if artifact.digest not in given:
        raise LineageError(
            f"{artifact.digest} is not a plan of this store: give the digest that a consolidation "
            "printed as its plan"
        )
    data = runner.store.get_bytes(artifact.digest)
    try:
        plan = Plan.model_validate(json.loads(data))
    except (ValidationError, ValueError) as error:
        raise LineageError(
            f"the plan {artifact.digest} cannot be read: {error}. Make it again with the current "
            "code"
        ) from error
    stored = artifact.model_copy(update={"uri": runner.store.uri})
    return plan.model_copy(update={"artifact": stored})


def input_of(runner: StepRunner, student: Artifact, role: str) -> Input:
    """Return what a published student was made from in a role: ``plan``, ``gate``.

    Raises:
        LineageError: where its record gave something else, or does not name one thing in that role.
    """
    if not Evidence(runner.store, runner.records).gave(student):
        raise LineageError(
            f"the record {student.record} never gave the student {student.digest}: parts of two "
            "runs were mixed. Give the student as publish_student returned it"
        )
    made = runner.records.read(student.record)
    found = [item for item in made.inputs if item.role == role]
    if len(found) != 1:
        raise LineageError(
            f"the record of the student {student.digest} names {len(found)} inputs as its {role}: "
            "publish it again with the current code, which records one"
        )
    return found[0]


def plan_of(runner: StepRunner, student: Artifact) -> Plan:
    """Return the plan that a published student came of."""
    plan = input_of(runner, student, "plan")
    return stored_plan(runner, Artifact(kind="plan", digest=plan.artifact, record=plan.record))


def verdicts_of(runner: StepRunner, student: Artifact) -> list[TeacherVerdict]:
    """Return what the gate found of each teacher of a published student's plan."""
    report = input_of(runner, student, "gate")
    judged = json.loads((runner.store.tree(report.artifact) / JUDGED).read_text("utf-8"))
    return [TeacherVerdict.model_validate(each) for each in judged["teachers"]]


def refuse_changed(runner: StepRunner, plan: Plan) -> None:
    """Refuse a plan that differs from the one stored under its digest.

    Waivers are not part of the stored plan.

    Raises:
        LineageError: naming what differs.
    """
    refuse_changed_from(stored_plan(runner, plan.artifact), plan)


def refuse_changed_from(stored_as: Plan, plan: Plan) -> None:
    """Refuse a plan that differs from another; waivers do not count.

    Raises:
        LineageError: naming what differs.
    """
    stored, given = (_said(each) for each in (stored_as, plan))
    changed = sorted(name for name in stored if stored[name] != given[name])
    if changed:
        raise LineageError(
            f"this plan differs in {changed} from the one that is stored under its digest "
            f"({plan.artifact and plan.artifact.digest}): parts of two runs were mixed. Give the "
            "plan as its task returned it, or launch the whole workflow: what is finished is found"
        )


def refuse_recalled(runner: StepRunner, plan: Plan) -> None:
    """Refuse a plan with a release that was recalled by now: days may lie behind a plan.

    Raises:
        RecalledError: with the person, date and reason of the recall.
    """
    used = [Used(teacher.release.digest, teacher.release.record) for teacher in plan.teachers]
    Registry(runner.store).refuse_recalled(used)


def start_of(runner: StepRunner, reference: str) -> Artifact:
    """Return the checkpoint to start from: registered, or a published student's.

    Raises:
        LineageError: for an unknown reference, and for one to anything else.
    """
    store = runner.store
    entry = Registry(store).resolve(reference)
    if entry.kind == "student":
        return read_manifest(store, entry.digest, Student).checkpoint
    if not entry.record or entry.kind != "checkpoint":
        found = f"a {entry.kind}" if entry.record else "without a record"
        raise LineageError(
            f"{reference!r} is {entry.name}@{entry.version}, which is {found}, but a checkpoint "
            "is needed here: find one with `provost teacher list` or `provost lineage show NAME`",
            code="not-a-checkpoint",
        )
    return Artifact(kind=entry.kind, digest=entry.digest, record=entry.record, uri=store.uri)


def trained_from(runner: StepRunner, checkpoint: Artifact) -> str:
    """Return the checkpoint that another was trained from, by its record; "" if unknown."""
    made = runner.records.read(checkpoint.record).inputs if checkpoint.record else ()
    starts = [item.artifact for item in made if item.role in {"start", "student"}]
    return starts[0] if starts and runner.store.has(starts[0]) else ""


def refuse_mixed(runner: StepRunner, plan: Plan) -> None:
    """Refuse a plan that differs from the stored plan with its digest.

    What is made for a plan is attested to be made for it. A warm-up may have moved the student. A
    plan that names no stored one claims nothing, and nothing can be published of it.

    Raises:
        LineageError: naming what differs.
    """
    if plan.artifact is None:
        return
    stored = stored_plan(runner, plan.artifact)
    if _is_warmed_up(runner, plan.student, stored.student):
        stored = stored.model_copy(update={"student": plan.student})
    refuse_changed_from(stored, plan)


def already_made(runner: StepRunner, plan: Plan) -> list[JsonValue]:
    """Return what took every planned teacher (rounds and merges), and what was made of that."""
    index = Lineage(runner.store).index
    users = [
        set(index.users(teacher.checkpoint.digest))
        for teacher in plan.teachers
        if not teacher.is_self
    ]
    starts = set.intersection(*users) if users else set()
    records = starts.union(*(index.descendants(start) for start in starts))
    # A plan uses all teachers as well, through their releases: it was not made from them.
    rows = [
        row
        for row in index.rows(sorted(records))
        if row.kind not in {"plan", FAILURE}
        and runner.records.read(row.digest).project in {"", runner.project}
    ]
    return [{"kind": row.kind, "record": row.digest, "output": row.output} for row in rows]


def warm_up_cycles(runner: StepRunner, student: Artifact) -> list[Derivation]:
    """Return the cycles of the warm-up that a checkpoint came of, the last first; [] for none."""
    cycles: list[Derivation] = []
    record = student.record
    while record:
        made = runner.records.read(record)
        before = taken(made, "start")
        if made.kind != "warm_up" or len(before) != 1:
            break
        cycles.append(made)
        record = before[0].record
    return cycles


def _is_warmed_up(runner: StepRunner, student: Artifact, start: Artifact) -> bool:
    """Return whether a student came of cycles of a warm-up that began with ``start``."""
    if student.digest == start.digest:
        return False
    return any(
        same(before, start)
        for made in warm_up_cycles(runner, student)
        for before in taken(made, "start")
    )


def _said(plan: Plan) -> dict[str, JsonValue]:
    document = without_places(plan.model_dump(mode="json", exclude={"artifact", "waivers"}))
    assert isinstance(document, dict)
    return document
