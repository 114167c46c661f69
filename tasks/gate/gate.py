"""The gate: measure the teachers of a plan, judge them, and say what is done about each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.digest import canonical_json
from lineage.record import Derivation, Input
from tasks.gate.decide import decide
from tasks.gate.judge import GateSettings, Judged, judge
from tasks.gate.measured import Measured, ProbeSettings
from tasks.gate.page import gate_page, unmeasured_page
from tasks.gate.plan import store_plan
from tasks.gate.prediction import stored_calibration
from tasks.gate.probe import Subject, measure
from tasks.gate.remedy import applied_cure
from tasks.gate.settings import Level
from tasks.gate.siblings import other_starts
from tasks.gate.weights import Checkpoint
from tasks.handover import (
    Cure,
    Gated,
    Note,
    OnMisfit,
    Plan,
    PlannedTeacher,
    TeacherVerdict,
    Verdict,
)
from tasks.provenance import source_digest
from tasks.rollout.domains import stored_prompts
from tasks.step import Bench, Measurements
from tasks.threads import use_configured_threads

MEASURED, JUDGED, PAGE = "measured.json", "judged.json", "gate.html"


def gate(
    bench: Bench,
    plan: Plan,
    settings: GateSettings,
    on_misfit: OnMisfit,
    probe: ProbeSettings,
) -> Gated:
    """Measure and judge the plan's teachers; return the plan as it may go on, refusals among it.

    Nothing is refused here: see ``admit``. The page is there before that.
    """
    assert plan.artifact is not None
    bench.refuse_recalled(teacher.release for teacher in plan.teachers)
    measured, made = _measure(bench, plan, probe)
    judged = {
        teacher.name: judge(each, teacher.reference, settings, stored_calibration())
        for teacher, each in zip(_judged_teachers(plan), measured.teachers, strict=True)
    }
    verdicts = [
        _verdict(plan, teacher, judged[teacher.name], on_misfit)
        for teacher in _judged_teachers(plan)
    ]
    dropped = {verdict.name for verdict in verdicts if verdict.done is Cure.DROP}
    helped = {verdict.name for verdict in verdicts if verdict.done is not Cure.NONE}
    notes = [
        note.model_copy(update={"severity": "note"}) if name in helped else note
        for name, each in judged.items()
        for note in each.reasons
    ]
    kept = [teacher for teacher in plan.teachers if teacher.name not in dropped]
    if not kept:
        raise ValueError(
            "no teacher of this plan fits, so there is nothing to merge: the gate's page says why "
            "of each (provost gate)"
        )
    came_from = (_input("plan", plan.artifact), _input("probe", made))
    after = _plan_after(bench, plan, kept, notes, came_from)
    files = {
        MEASURED: measured.model_dump_json(indent=1),
        PAGE: gate_page(plan, measured, judged, verdicts),
    }
    report = _report(bench, came_from, judged, verdicts, files)
    return Gated(plan=after, report=report, teachers=verdicts)


def leave_unmeasured(bench: Bench, plan: Plan) -> Gated:
    """Let the plan through as its records are; that nobody measured stays in its findings."""
    assert plan.artifact is not None
    bench.refuse_recalled(teacher.release for teacher in plan.teachers)
    teachers = _judged_teachers(plan)
    verdicts = [
        TeacherVerdict(
            name=teacher.name,
            domain=teacher.domain,
            verdict=Verdict.UNKNOWN,
        )
        for teacher in teachers
    ]
    notes = [
        Note(
            code="not-measured",
            severity="warning",
            subject=teacher.reference,
            evidence="nobody measured whether it fits: gate_prompts_per_domain is 0",
            next_step="give gate_prompts_per_domain 64, which takes a forward pass or two",
        )
        for teacher in teachers
    ]
    came_from = (_input("plan", plan.artifact),)
    after = _plan_after(bench, plan, plan.teachers, notes, came_from)
    report = _report(bench, came_from, {}, verdicts, {PAGE: unmeasured_page(plan)})
    return Gated(plan=after, report=report, teachers=verdicts)


def _plan_after(
    bench: Bench,
    plan: Plan,
    teachers: Sequence[PlannedTeacher],
    notes: Sequence[Note],
    came_from: tuple[Input, ...],
) -> Plan:
    changes = {"teachers": list(teachers), "notes": [*plan.notes, *notes]}
    after = plan.model_copy(update={**changes, "artifact": None, "waivers": []})
    return after.model_copy(update={"artifact": store_plan(bench, after, after=came_from)})


def admit(bench: Bench, gated: Gated, refuse_from: Level, waivers: Sequence[str]) -> Gated:
    """Return what passed, with its waivers, or refuse it.

    Raises:
        MisfitError: where a finding is left that counts.
        LineageError: for a waiver that does not hold.
    """
    plan = decide(bench, gated.plan, refuse_from, waivers)
    return gated.model_copy(update={"plan": plan})


def _judged_teachers(plan: Plan) -> list[PlannedTeacher]:
    """Return the teachers that are measured: the student needs no proof that it fits itself."""
    return [teacher for teacher in plan.teachers if not teacher.is_self]


def _verdict(
    plan: Plan, teacher: PlannedTeacher, judged: Judged, on_misfit: OnMisfit
) -> TeacherVerdict:
    prediction = judged.prediction
    climb = f"provost run teacher {teacher.domain} --fork-point {plan.student.digest}"
    return TeacherVerdict(
        name=teacher.name,
        domain=teacher.domain,
        verdict=judged.verdict,
        predicted=prediction.score if prediction else None,
        low=prediction.low if prediction else None,
        high=prediction.high if prediction else None,
        proposed=judged.cure,
        done=applied_cure(judged, on_misfit),
        climb_again="" if judged.verdict is Verdict.FITS else climb,
    )


def _measure(bench: Bench, plan: Plan, settings: ProbeSettings) -> tuple[Measured, Artifact]:
    """Return what the probe finds, measured once for a student and its teachers.

    What else starts from the fork point is looked at and no input: teams start new climbs every
    day, which would void every waiver.
    """
    teachers = _judged_teachers(plan)
    derivation = Derivation(
        kind="probe",
        inputs=(
            _input("student", plan.student),
            *(_input("teacher", teacher.checkpoint, teacher.name) for teacher in teachers),
            *(
                _input(role, part, teacher.domain)
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
        subjects = [_subject(bench, teacher) for teacher in teachers]
        start = bench.store.tree(plan.student.digest)
        found = measure(bench.store, start, subjects, settings)
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

    made = bench.find_or_make(derivation, "probe", make, owner="consolidation")
    return Measured.model_validate_json(bench.store.get_bytes(made.digest)), made


def _subject(bench: Bench, teacher: PlannedTeacher) -> Subject:
    """Return a teacher with what it declares of its ancestry, for the weights to answer."""
    release = read_manifest(bench.store, teacher.release.digest, Release)
    tree = bench.store.tree
    return Subject(
        name=teacher.name,
        domain=teacher.domain,
        folder=tree(teacher.checkpoint.digest),
        prompts=stored_prompts(bench.store, teacher.validation),
        environment=teacher.environment,
        parent=Checkpoint(f"the precursor of {teacher.name}", tree(release.precursor.digest)),
        grandparent=tree(release.fork_point.digest),
        siblings=tuple(
            Checkpoint(f"another start, {output[:19]}", tree(output))
            for output in other_starts(
                bench.store, release.fork_point.digest, teacher.checkpoint.record
            )
        ),
    )


def _report(
    bench: Bench,
    came_from: tuple[Input, ...],
    judged: Mapping[str, Judged],
    verdicts: Sequence[TeacherVerdict],
    files: Mapping[str, str],
) -> Artifact:
    """Store the page and the numbers as one recorded folder."""
    document: dict[str, JsonValue] = {
        "teachers": [verdict.model_dump(mode="json") for verdict in verdicts],
        "judged": {name: each.model_dump(mode="json") for name, each in judged.items()},
        "calibration": stored_calibration().provenance,
    }
    derivation = Derivation(
        kind="gate",
        inputs=came_from,
        source=source_digest("gate"),
        settings=document,
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        measurements.add(
            0, {f"predicted/{v.name}": v.predicted for v in verdicts if v.predicted is not None}
        )
        out = folder / "gate"
        out.mkdir()
        (out / JUDGED).write_bytes(canonical_json(document))
        for name, text in files.items():
            (out / name).write_text(text, "utf-8")
        return out

    return bench.find_or_make(derivation, "gate", make, owner="consolidation")


def read_page(bench: Bench, report: Artifact) -> str:
    """Return the page of a stored gate report."""
    return (bench.store.tree(report.digest) / PAGE).read_text("utf-8")


def _input(role: str, artifact: Artifact, name: str = "") -> Input:
    return Input(role=role, artifact=artifact.digest, record=artifact.record, name=name)
