"""The plan of a consolidation: references resolved to digests once, with their findings."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lineage.artifacts import Artifact, Release, without_places
from lineage.compatibility.checks import Candidate, Finding, Start, check
from lineage.compatibility.collect import collect, family_artifacts
from lineage.compatibility.foreign import foreign_findings
from lineage.digest import canonical_json
from lineage.errors import LineageError, MissingBlobError
from lineage.graph.graph import Lineage
from lineage.records.record import Derivation, Input
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry
from tasks.contracts.handover import Level, Plan, PlannedTeacher
from tasks.contracts.planned import start_of
from tasks.contracts.refusal import RefusedError
from tasks.gate.decision import MisfitError, decide
from tasks.gate.declared import hidden_prompt, replaced_template, sampled_otherwise
from tasks.gate.positions import without_positions
from tasks.gate.teacher_spec import Assignment, TeacherSpec, assign, parse_teacher_spec
from tasks.model.identity import (
    stored_differences,
    stored_identity,
    stored_template_of_ours,
)
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.rollout.settings import SamplingSettings
from tasks.rollout.wheels.bundled import carried


def make_plan(
    runner: StepRunner,
    teachers: Sequence[str],
    student: str,
    refuse_from: Level = Level.REFUSAL,
    waivers: Sequence[str] = (),
) -> Plan:
    """Return the plan of a consolidation of ``teachers`` into ``student``, or refuse it.

    It calls ``propose``, then ``decide``.
    """
    return decide(runner, propose(runner, teachers, student), refuse_from, waivers)


def propose(
    runner: StepRunner,
    teachers: Sequence[str],
    student: str,
    sampling: SamplingSettings | None = None,
) -> Plan:
    """Store and return the plan of a consolidation with all findings from the records.

    Its digest covers the findings, so a waiver of this digest accepts these findings only.

    A teacher is a reference. It takes a share if several teachers have one domain (``math@3=0.7``),
    ``#mode`` for the prompts of one thinking mode, or ``=self`` to let the student itself teach the
    release's domain. The student is a registered checkpoint, or a published student that this
    consolidation continues from. If ``sampling`` is given, it is compared with the sampling that
    each release declares, and with the student's positions.

    Raises:
        LineageError: for a reference that names nothing, or a release that lacks a part.
        MisfitError: if a reference is not a teacher, or a domain has several teachers without
            shares.
        ValueError: for shares that do not sum to 1.
    """
    if not teachers:
        raise RefusedError(
            "no-teachers", "the list of teachers is empty: give at least one, such as math@released"
        )
    report("plan", 0, 1, message="resolve references and check records")
    specs = [parse_teacher_spec(text) for text in teachers]
    start = start_of(runner, student)
    entries = [_entry(runner, spec.reference) for spec in specs]
    collected = [_collected(runner, spec.reference, start) for spec in specs]
    domains = [candidate.release.domain for candidate in collected]
    _refuse_repeated(specs, domains)
    findings = [
        *_check(runner, start, specs, collected),
        *_declared(runner, specs, collected, sampling),
    ]
    if family := stored_template_of_ours(runner.store, start.digest):
        findings.append(replaced_template(student, family))
    for candidate in collected:
        findings += carried(runner.store, candidate.reference, candidate.release.environment)
    for entry in entries:
        _refuse_unrecorded(entry)
    assignments = assign(specs, domains, [entry.version for entry in entries])
    plan = Plan(
        fork_point=collected[0].release.fork_point,
        student=start,
        teachers=[
            _planned(entry, candidate.release, place, spec.mode, start if spec.is_self else None)
            for entry, candidate, place, spec in zip(
                entries, collected, assignments, specs, strict=True
            )
        ],
        notes=findings,
    )
    if sampling:
        findings += without_positions(runner, plan, sampling)
        plan = plan.model_copy(update={"notes": findings})
    return plan.model_copy(update={"artifact": store_plan(runner, plan)})


def _declared(
    runner: StepRunner,
    specs: Sequence[TeacherSpec],
    collected: Sequence[Candidate],
    sampling: SamplingSettings | None,
) -> Iterator[Finding]:
    """Yield how releases declare to be sampled, where the round differs, and system prompts."""
    others = [each for each, spec in zip(collected, specs, strict=True) if not spec.is_self]
    if sampling:
        for each in others:
            yield from sampled_otherwise(each.reference, each.release.sampling, sampling)
    for each in others:
        if each.release.system_prompt:
            yield hidden_prompt(each.reference, each.release.system_prompt)


def _collected(runner: StepRunner, reference: str, start: Artifact) -> Candidate:
    """Return a teacher as the records describe it; raise for missing records."""
    try:
        found = collect(runner.store, {reference: reference}, start.record)[reference]
        # What a release says of itself proves nothing: its team may have changed the folder since.
        teacher = found.release.checkpoint.digest
        held = stored_identity(runner.store, teacher)
        differ = stored_differences(runner.store, teacher, start.digest)
        return replace(found, held=held, differences=differ)
    except MissingBlobError as error:
        raise LineageError(
            f"the records of {reference} cannot be read: {error}. Bring its records into "
            "this store, have its team release it here, or leave it out",
            code="unreadable-records",
        ) from error


def _check(
    runner: StepRunner,
    start: Artifact,
    specs: Sequence[TeacherSpec],
    collected: Sequence[Candidate],
) -> list[Finding]:
    """Return the findings from the records.

    Several teachers of one domain are checked in turn, each with the first teachers of the other
    domains.
    """
    tokenizer, template = stored_identity(runner.store, start.digest)
    lineage = Lineage(runner.store)
    family = [start.record, *lineage.ancestors(start.record)] if start.record else []
    whole = Start(
        start.digest,
        tokenizer,
        template,
        frozenset(used.digest for used in family_artifacts(runner.records, family))
        | {start.digest},
    )
    findings: dict[Finding, None] = {}
    # The student needs no proof that it fits itself.
    to_check = [c for c, spec in zip(collected, specs, strict=True) if not spec.is_self]
    while to_check:
        layer = {c.release.domain: c for c in reversed(to_check)}
        findings |= dict.fromkeys(check(layer, whole))
        to_check = [c for c in to_check if c is not layer[c.release.domain]]
    others = [c for c, spec in zip(collected, specs, strict=True) if not spec.is_self]
    made_by = {c.reference: c.release.checkpoint.record for c in others}
    return [*findings, *foreign_findings(runner.store, start.record, made_by)]


def _entry(runner: StepRunner, reference: str) -> Entry:
    """Return a teacher's entry, also a recalled one: a recall is a finding."""
    entry = Registry(runner.store).resolve(reference, allow_recalled=True)
    if not entry.name.startswith("teacher."):
        raise MisfitError(
            f"{reference!r} is {entry.name}@{entry.version}, which is not a teacher's release: "
            "choose one from `provost teacher list`"
        )
    return entry


def _refuse_unrecorded(entry: Entry) -> None:
    if not entry.record:
        raise LineageError(
            f"{entry.name}@{entry.version} was registered without a record, so its origin is "
            "unknown: release it through `provost run teacher`"
        )


def _refuse_repeated(specs: Sequence[TeacherSpec], domains: Sequence[str]) -> None:
    labeled = zip(specs, domains, strict=True)
    without_share = [(domain, spec.mode) for spec, domain in labeled if spec.share is None]
    repeated = sorted(domain for (domain, _), count in Counter(without_share).items() if count > 1)
    if repeated:
        raise MisfitError(
            f"the domains {repeated} have several teachers among {[w.reference for w in specs]} "
            "without shares of the prompts: name one teacher per domain, or give each a share, "
            "such as math@3=0.7 and math@2=0.3"
        )


def _planned(
    entry: Entry, release: Release, place: Assignment, mode: str | None, student: Artifact | None
) -> PlannedTeacher:
    """Return a planned teacher; if ``student`` is given, it is the teacher's checkpoint."""
    checkpoint = student or release.checkpoint
    return PlannedTeacher(
        name=place.name,
        domain=release.domain,
        share=place.share,
        mode=mode,
        is_self=student is not None,
        reference=f"{entry.name}@{entry.version}",
        owner=release.owner,
        release=Artifact(kind="release", digest=entry.digest, record=entry.record),
        checkpoint=checkpoint,
        ladder=[] if student else list(release.ladder),
        environment=release.environment,
        system_prompt="" if student else release.system_prompt,
        train=release.prompts.train,
        validation=release.prompts.validation,
        evaluation=release.evaluation,
    )


def store_plan(runner: StepRunner, plan: Plan, *, after: Sequence[Input] = ()) -> Artifact:
    """Store a plan; ``after`` are the additional inputs of a plan that passed the gate."""
    derivation = Derivation(
        project=runner.project,
        kind="plan",
        inputs=(
            Input.of("student", plan.student),
            *(
                Input(
                    role="release",
                    artifact=teacher.release.digest,
                    record=teacher.release.record,
                    name=teacher.name,
                    weight=teacher.share,
                )
                for teacher in plan.teachers
            ),
            *after,
        ),
        source=source_digest("gate"),
        settings={
            "self": [teacher.name for teacher in plan.teachers if teacher.is_self],
            "reviewed": plan.reviewed,
            # What is known of a teacher may change while its bytes do not: another plan then.
            "findings": [asdict(finding) for finding in plan.notes],
        },
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        path = folder / "plan.json"
        path.write_bytes(canonical_json(without_places(plan.model_dump(mode="json"))))
        return path

    return runner.find_or_make(derivation, "plan", make, owner="consolidation")
