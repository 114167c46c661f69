"""A plan of a consolidation: references resolved to digests, once, with every finding by record."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lineage.artifacts import Artifact, Release, Sampling, without_places
from lineage.collect import collect, family_artifacts
from lineage.compatibility import Candidate, Finding, Start, check
from lineage.digest import canonical_json
from lineage.errors import LineageError, MissingBlobError
from lineage.graph import Lineage
from lineage.record import Derivation, Input
from lineage.registry import Registry
from lineage.slots import Entry
from tasks.gate.decision import MisfitError, decide
from tasks.gate.teacher_spec import Assignment, TeacherSpec, assign, parse_teacher_spec
from tasks.handover import Level, Plan, PlannedTeacher
from tasks.measurements import Measurements
from tasks.model.identity import stored_identity
from tasks.planned import start_of
from tasks.progress import report
from tasks.provenance import source_digest
from tasks.rollout.settings import SamplingSettings
from tasks.step_runner import StepRunner


def sampled_otherwise(
    subject: str, meant: Sampling, sampling: SamplingSettings
) -> Iterator[Finding]:
    """Yield where a round samples otherwise than a release says.

    A round has one temperature and one length for all: a release's are not taken over, and said.
    """
    if meant.max_new_tokens > sampling.max_new_tokens:
        yield Finding(
            "shorter-answers",
            "warning",
            subject,
            f"{subject} was released for answers of up to {meant.max_new_tokens} tokens, and the "
            f"round cuts all at {sampling.max_new_tokens}: what is cut is graded, and taught, "
            "unended",
            f"set max_new_tokens to {meant.max_new_tokens}",
        )
    if meant.temperature != sampling.temperature:
        yield Finding(
            "other-temperature",
            "note",
            subject,
            f"{subject} was released to be sampled at temperature {meant.temperature:g}; the round "
            f"reads it, and samples, at {sampling.temperature:g}, as it does all its teachers",
            f"nothing, or sampling.temperature={meant.temperature:g} among the settings",
        )
    if meant.top_p < 1:
        yield Finding(
            "cut-distribution",
            "note",
            subject,
            f"{subject} was released to be sampled with top_p {meant.top_p:g}; the round learns "
            "its whole distribution, the tail too",
            "nothing, or have it released for what a round does",
        )


def make_plan(
    runner: StepRunner,
    teachers: Sequence[str],
    student: str,
    refuse_from: Level = Level.REFUSAL,
    waivers: Sequence[str] = (),
) -> Plan:
    """Return the plan of a consolidation of ``teachers`` into ``student``, if it may be run.

    See ``propose`` and ``decide``, which this does one after the other.
    """
    return decide(runner, propose(runner, teachers, student), refuse_from, waivers)


def propose(
    runner: StepRunner,
    teachers: Sequence[str],
    student: str,
    sampling: SamplingSettings | None = None,
) -> Plan:
    """Return the plan of a consolidation with all that the records say against it, and store it.

    Its digest covers the findings: a waiver that names it accepts these and no others.

    A teacher is a reference, with its share where several teach one domain (``math@3=0.7``), with
    ``#mode`` for the prompts of one thinking mode, or with ``=self`` where the student itself shall
    teach the release's domain. The student is a
    registered checkpoint, or a published student, whose round this then goes on from. Where
    ``sampling`` is known, it is compared with how each teacher is meant to be sampled.

    Raises:
        LineageError: for a reference that nothing answers to, or a release that misses a part.
        MisfitError: where what is named is no teacher, or one domain has several unsaid.
        ValueError: for shares that do not add up.
    """
    if not teachers:
        raise ValueError("no teacher is named: give at least one, such as math@released")
    report("plan", 0, 1, message="resolve and check by record")
    specs = [parse_teacher_spec(text) for text in teachers]
    start = start_of(runner, student)
    entries = [_entry(runner, spec.reference) for spec in specs]
    collected = [_collected(runner, spec.reference, start) for spec in specs]
    domains = [candidate.release.domain for candidate in collected]
    _refuse_repeated(specs, domains)
    findings = _check(runner, start, specs, collected)
    findings += [
        finding
        for candidate, spec in zip(collected, specs, strict=True)
        if sampling and not spec.is_self
        for finding in sampled_otherwise(candidate.reference, candidate.release.sampling, sampling)
    ]
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
        notes=list(findings),
    )
    return plan.model_copy(update={"artifact": store_plan(runner, plan)})


def _collected(runner: StepRunner, reference: str, start: Artifact) -> Candidate:
    """Return what the records know of a teacher; one with missing records is named."""
    try:
        found = collect(runner.store, {reference: reference}, start.record)[reference]
        # What a release says of itself proves nothing: its team may have changed the folder since.
        return replace(found, held=stored_identity(runner.store, found.release.checkpoint.digest))
    except MissingBlobError as error:
        raise LineageError(
            f"the records of {reference} cannot be read: {error}. Bring its records into "
            "this store, have its team release it here, or leave it out"
        ) from error


def _check(
    runner: StepRunner,
    start: Artifact,
    specs: Sequence[TeacherSpec],
    collected: Sequence[Candidate],
) -> list[Finding]:
    """Return what the records say against the merge.

    Teachers of one domain are checked one after the other beside all others' first.
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
    return list(findings)


def _entry(runner: StepRunner, reference: str) -> Entry:
    """Return a teacher's entry, a recalled one too: that it is recalled is a finding."""
    entry = Registry(runner.store).resolve(reference, allow_recalled=True)
    if not entry.name.startswith("teacher."):
        raise MisfitError(
            f"{reference!r} is {entry.name}@{entry.version}, which is no teacher's release: "
            "`provost teacher list` shows the teachers"
        )
    return entry


def _refuse_unrecorded(entry: Entry) -> None:
    if not entry.record:
        raise LineageError(
            f"{entry.name}@{entry.version} was registered without a record, so nothing says who "
            "put it together: release it through `provost run teacher`"
        )


def _refuse_repeated(specs: Sequence[TeacherSpec], domains: Sequence[str]) -> None:
    labelled = zip(specs, domains, strict=True)
    without_share = [(domain, spec.mode) for spec, domain in labelled if spec.share is None]
    repeated = sorted(domain for (domain, _), count in Counter(without_share).items() if count > 1)
    if repeated:
        raise MisfitError(
            f"the domains {repeated} have several teachers among {[w.reference for w in specs]}, "
            "and it is not said what share of the prompts each gets: name one teacher for a "
            "domain, or the share of each, such as math@3=0.7 and math@2=0.3"
        )


def _planned(
    entry: Entry, release: Release, place: Assignment, mode: str | None, student: Artifact | None
) -> PlannedTeacher:
    """Return a planned teacher; where ``student`` is given, that is its checkpoint."""
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
        train=release.prompts.train,
        validation=release.prompts.validation,
        evaluation=release.evaluation,
    )


def store_plan(runner: StepRunner, plan: Plan, *, after: Sequence[Input] = ()) -> Artifact:
    """Store a plan; ``after`` is what it was made from besides, where it went through the gate."""
    derivation = Derivation(
        project=runner.project,
        kind="plan",
        inputs=(
            Input(role="student", artifact=plan.student.digest, record=plan.student.record),
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
