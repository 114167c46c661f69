"""The measurements of a plan's teachers as a recorded step: what is measured, and with what."""

import math
from collections.abc import Iterator
from pathlib import Path

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.graph import Lineage
from lineage.record import Derivation, Input, Records
from lineage.store import Store
from tasks.gate.measured import ProbeResult, ProbeSettings
from tasks.gate.probe import ProbedTeacher, measure
from tasks.gate.weights import CheckpointTensors
from tasks.handover import MeasuredRung, Plan, PlannedTeacher
from tasks.measurements import Measurements
from tasks.onpolicy.ladder import rungs_to_measure
from tasks.provenance import source_digest
from tasks.rollout.domains import stored_prompts
from tasks.rollout.environment import Prompt
from tasks.step_runner import StepRunner
from tasks.threads import use_configured_threads


def prompts_of(runner: StepRunner, teacher: PlannedTeacher, prompts: Artifact) -> list[Prompt]:
    """Return one of a teacher's prompt sets.

    Raises:
        ValueError: naming the release, for a set that is empty or cannot be read.
    """
    try:
        return stored_prompts(runner.store, prompts)
    except ValueError as error:
        raise ValueError(
            f"the prompts {prompts.digest[:19]} of {teacher.reference}, for the domain "
            f"{teacher.domain!r}, cannot be used, so {teacher.owner} must release it again, or it "
            f"is left out: {error}"
        ) from error


MOST = 8
"""Each is read once from disk beside the teacher."""


def descends(store: Store, record: str, ancestor: str) -> bool:
    """Return whether a record is, or descends from, another; nothing is known without records."""
    return bool(record and ancestor) and ancestor in {record, *Lineage(store).ancestors(record)}


def other_starts(store: Store, fork_point: str, teacher: str) -> list[str]:
    """Return checkpoints that were trained from ``fork_point`` and are no kin of a teacher.

    What descends from the teacher is near it for that reason, and what it descends from is what it
    declares: neither speaks against it. Checkpoints of the teacher's own project and of the fork
    point's count: a third team could make one that lies near the teacher, to cast doubt on it.

    Args:
        store: The store of the records.
        fork_point: Digest of the checkpoint that the declared parent was trained from.
        teacher: The teacher's record.

    Returns:
        Digests of at most ``MOST`` checkpoints, in the order of their records.
    """
    lineage, records = Lineage(store), Records(store)
    ancestors = set(lineage.ancestors(teacher))
    related = {teacher, *ancestors, *lineage.descendants(teacher)}
    # Anybody may attest the fork point's bytes: the teacher's own records say who made it.
    makers = ancestors.intersection(lineage.index.makers(fork_point))
    found: dict[str, None] = {}
    believed = {"", *(records.read(digest).project for digest in (teacher, *makers) if digest)}
    for digest in lineage.index.users(fork_point):
        if records.read(digest).project not in believed:
            continue
        started = any(
            item.role == "start" and item.artifact == fork_point
            for item in records.read(digest).inputs
        )
        made = records.output(digest)
        if started and digest not in related and made and made.output_kind == "checkpoint":
            found[made.output] = None
    return list(found)[:MOST]


MEASURED = "measured.json"


def judged_teachers(plan: Plan) -> list[PlannedTeacher]:
    """Return the teachers that are measured: the student needs no proof that it fits itself."""
    return [teacher for teacher in plan.teachers if not teacher.is_self]


def asked(role: str, artifact: Artifact, name: str = "") -> Input:
    """Return an artifact as an input of a derivation."""
    return Input(role=role, artifact=artifact.digest, record=artifact.record, name=name)


def with_ladder(teacher: PlannedTeacher, measured: ProbeResult) -> PlannedTeacher:
    """Return a teacher with what was measured of its climb, for the round to choose stages by.

    Rungs with probabilities that are not finite are left out; the last is the teacher itself.
    """
    found = next((each for each in measured.teachers if each.name == teacher.name), None)
    if found is None or not found.ladder or not math.isfinite(found.reading.kl):
        return teacher
    rungs = [(each.step, each.kl) for each in found.ladder]
    rungs.append((teacher.ladder[-1].step, found.reading.kl))
    known = [MeasuredRung(step=step, kl=kl) for step, kl in rungs if math.isfinite(kl)]
    return teacher.model_copy(update={"ladder_kl": known})


def probed(runner: StepRunner, plan: Plan, settings: ProbeSettings) -> tuple[ProbeResult, Artifact]:
    """Return what the probe finds, measured once for a student and its teachers.

    What else starts from the fork point is looked at and no input: teams start new climbs every
    day, which would void every waiver.
    """
    teachers = judged_teachers(plan)
    derivation = Derivation(
        project=runner.project,
        kind="probe",
        inputs=(
            asked("student", plan.student),
            *(asked("teacher", teacher.checkpoint, teacher.name) for teacher in teachers),
            *(declared for teacher in teachers for declared in _declared(runner, teacher)),
            *(
                asked("rung", rung.checkpoint, teacher.name)
                for teacher in teachers
                for rung in rungs_to_measure(teacher.ladder, settings.ladder_stages)
            ),
            *(
                asked(role, part, teacher.domain)
                for teacher in plan.leads
                for role, part in (
                    ("prompts", teacher.validation),
                    ("environment", teacher.environment),
                )
            ),
        ),
        source=source_digest("gate"),
        settings=settings.model_dump(mode="json"),
        seed=settings.seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        subjects = [_subject(runner, plan, teacher, settings.ladder_stages) for teacher in teachers]
        start = runner.store.tree(plan.student.digest)
        found = measure(runner.store, start, subjects, settings)
        for each in found.teachers:
            measurements.add(
                0,
                {
                    f"kl/{each.name}": each.reading.kl,
                    f"gain/{each.name}": each.scores.difference,
                },
            )
        path = folder / MEASURED
        path.write_text(found.model_dump_json(indent=1), "utf-8")
        return path

    made = runner.find_or_make(derivation, "probe", make, owner="consolidation")
    return ProbeResult.model_validate_json(runner.store.get_bytes(made.digest)), made


def _subject(
    runner: StepRunner, plan: Plan, teacher: PlannedTeacher, ladder_stages: int
) -> ProbedTeacher:
    """Return a teacher with what it declares of its ancestry, for the weights to answer."""
    release = read_manifest(runner.store, teacher.release.digest, Release)
    tree, fork_point = runner.store.tree, release.fork_point.digest
    base = _trained_from(runner, release.fork_point)
    others = other_starts(runner.store, base, release.precursor.record) if base else []
    if not descends(runner.store, plan.student.record, release.fork_point.record):
        # A later round's student went on from the fork point, perhaps the precursor's own way.
        others.append(plan.student.digest)
    return ProbedTeacher(
        name=teacher.name,
        domain=teacher.domain,
        folder=tree(teacher.checkpoint.digest),
        prompts=prompts_of(runner, teacher, teacher.validation),
        environment=teacher.environment,
        parent=CheckpointTensors(
            f"the precursor of {teacher.name}", tree(release.precursor.digest)
        ),
        grandparent=tree(fork_point),
        siblings=tuple(
            CheckpointTensors(f"another start, {output[:19]}", tree(output))
            for output in other_starts(runner.store, fork_point, teacher.checkpoint.record)
        ),
        fork_point=CheckpointTensors(f"the fork point of {teacher.name}", tree(fork_point)),
        base=tree(base) if base else None,
        other_forks=tuple(
            CheckpointTensors(f"another fork point, {output[:19]}", tree(output))
            for output in others
        ),
        rungs=tuple(
            (rung.step, tree(rung.checkpoint.digest))
            for rung in rungs_to_measure(teacher.ladder, ladder_stages)
        ),
    )


def _declared(runner: StepRunner, teacher: PlannedTeacher) -> Iterator[Input]:
    """Yield what a release declares of its ancestry: corrected, it is measured anew."""
    release = read_manifest(runner.store, teacher.release.digest, Release)
    yield asked("precursor", release.precursor, teacher.name)
    yield asked("fork_point", release.fork_point, teacher.name)


def _trained_from(runner: StepRunner, checkpoint: Artifact) -> str:
    """Return what a checkpoint was trained from by record, "" where no record or store has it."""
    made = runner.records.read(checkpoint.record).inputs if checkpoint.record else ()
    starts = [item.artifact for item in made if item.role in {"start", "student"}]
    return starts[0] if starts and runner.store.has(starts[0]) else ""
