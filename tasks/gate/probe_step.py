"""The measurement of a plan's teachers as a recorded step, with its inputs."""

import math
from collections.abc import Iterator
from pathlib import Path

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.graph.graph import Lineage
from lineage.records.record import Derivation, Input, Records
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from lineage.store.store import Store
from tasks.contracts.handover import MeasuredRung, Plan, PlannedTeacher
from tasks.contracts.planned import trained_from
from tasks.contracts.refusal import RefusedError
from tasks.gate.measured import ProbeResult, ProbeSettings
from tasks.gate.probe import ProbedTeacher, measure
from tasks.model.ancestry import CheckpointTensors
from tasks.onpolicy.ladder import rungs_to_measure
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_prompts
from tasks.rollout.environment import Prompt

MEASURED = "measured.json"
MOST = 8
"""Maximum number of other checkpoints; each is read from disk once, beside the teacher."""


def measure_plan(
    runner: StepRunner, plan: Plan, settings: ProbeSettings
) -> tuple[ProbeResult, Artifact]:
    """Return the probe's results, measured once for a student and its teachers.

    Other checkpoints from the fork point are examined but are not inputs: teams start new climbs
    every day, and each would invalidate every waiver.
    """
    teachers = judged_teachers(plan)
    derivation = Derivation(
        project=runner.project,
        kind="probe",
        inputs=(
            Input.of("student", plan.student),
            *(Input.of("teacher", teacher.checkpoint, teacher.name) for teacher in teachers),
            *(
                read
                for teacher in teachers
                for read in system_prompt_inputs(teacher.system_prompt, teacher.name)
            ),
            *(declared for teacher in teachers for declared in _declared(runner, teacher)),
            *(
                Input.of("rung", rung.checkpoint, teacher.name)
                for teacher in teachers
                for rung in rungs_to_measure(teacher.ladder, settings.ladder_stages)
            ),
            *(
                Input.of(role, part, teacher.domain)
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
    for teacher in teachers:
        store_system_prompt(runner.store, teacher.system_prompt)

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

    made = runner.find_or_make(
        derivation, "probe", make, owner="consolidation", notes=plan.made_for
    )
    return ProbeResult.model_validate_json(runner.store.get_bytes(made.digest)), made


def judged_teachers(plan: Plan) -> list[PlannedTeacher]:
    """Return the teachers that are measured: all but the student itself."""
    return [teacher for teacher in plan.teachers if not teacher.is_self]


def with_ladder(teacher: PlannedTeacher, measured: ProbeResult) -> PlannedTeacher:
    """Return a teacher with the measured rungs of its climb, from which the round chooses stages.

    Rungs with non-finite probabilities are left out; the last one is the teacher itself.
    """
    found = next((each for each in measured.teachers if each.name == teacher.name), None)
    if found is None or not found.ladder or not math.isfinite(found.reading.kl):
        return teacher
    rungs = [(each.step, each.kl) for each in found.ladder]
    rungs.append((teacher.ladder[-1].step, found.reading.kl))
    known = [MeasuredRung(step=step, kl=kl) for step, kl in rungs if math.isfinite(kl)]
    return teacher.model_copy(update={"ladder_kl": known})


def _subject(
    runner: StepRunner, plan: Plan, teacher: PlannedTeacher, ladder_stages: int
) -> ProbedTeacher:
    """Return a teacher with its declared ancestry, to be checked against the weights."""
    release = read_manifest(runner.store, teacher.release.digest, Release)
    tree, fork_point = runner.store.tree, release.fork_point.digest
    base = trained_from(runner, release.fork_point)
    others = other_starts(runner.store, base, release.precursor.record) if base else []
    if not descends(runner.store, plan.student.record, release.fork_point.record):
        # A later round's student went on from the fork point, perhaps the precursor's own way.
        others.append(plan.student.digest)
    siblings = [
        CheckpointTensors(f"another start, {output[:19]}", tree(output))
        for output in other_starts(runner.store, fork_point, teacher.checkpoint.record)
    ]
    other_forks = [
        CheckpointTensors(f"another fork point, {output[:19]}", tree(output)) for output in others
    ]
    is_imported = release.kind == "imported"
    declared = "fork point" if is_imported else "precursor"
    before = base if is_imported else fork_point
    return ProbedTeacher(
        name=teacher.name,
        domain=teacher.domain,
        folder=tree(teacher.checkpoint.digest),
        prompts=prompts_of(runner, teacher, teacher.validation),
        environment=teacher.environment,
        system_prompt=teacher.system_prompt,
        parent=CheckpointTensors(
            f"the {declared} of {teacher.name}", tree(release.precursor.digest)
        ),
        grandparent=tree(before) if before else None,
        siblings=(*siblings, *(other_forks if is_imported else [])),
        fork_point=None
        if is_imported
        else CheckpointTensors(f"the fork point of {teacher.name}", tree(fork_point)),
        base=tree(base) if base else None,
        other_forks=tuple(other_forks),
        rungs=tuple(
            (rung.step, tree(rung.checkpoint.digest))
            for rung in rungs_to_measure(teacher.ladder, ladder_stages)
        ),
    )


def prompts_of(runner: StepRunner, teacher: PlannedTeacher, prompts: Artifact) -> list[Prompt]:
    """Return one of a teacher's prompt sets.

    Raises:
        ValueError: naming the release, for an empty or unreadable set.
    """
    try:
        return stored_prompts(runner.store, prompts)
    except ValueError as error:
        raise RefusedError(
            "unusable-prompts",
            f"the prompts {prompts.digest[:19]} of {teacher.reference}, for the domain "
            f"{teacher.domain!r}, cannot be used. Ask {teacher.owner} for a new release, or leave "
            f"the teacher out: {error}",
        ) from error


def _declared(runner: StepRunner, teacher: PlannedTeacher) -> Iterator[Input]:
    """Yield the declared ancestry of a release; a corrected one is measured again."""
    release = read_manifest(runner.store, teacher.release.digest, Release)
    yield Input.of("precursor", release.precursor, teacher.name)
    yield Input.of("fork_point", release.fork_point, teacher.name)


def other_starts(store: Store, fork_point: str, teacher: str) -> list[str]:
    """Return checkpoints that were trained from ``fork_point`` and are unrelated to a teacher.

    Descendants of the teacher are near it for that reason, and its ancestors are what it declares,
    so neither contradicts it. Only checkpoints of the teacher's project and of the fork point's
    project count: a third team could make one near the teacher to cast doubt on it.

    Args:
        store: The store with the records.
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


def descends(store: Store, record: str, ancestor: str) -> bool:
    """Return whether a record is, or descends from, another; False without its records."""
    return bool(record and ancestor) and ancestor in {record, *Lineage(store).ancestors(record)}
