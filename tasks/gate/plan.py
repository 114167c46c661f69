"""Resolves a consolidation's references to digests, once, and checks by record that they fit."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lineage.artifacts import Artifact, Release, Student, read_manifest, without_places
from lineage.collect import collect, family_artifacts
from lineage.compatibility import Candidate, Finding, Start, check
from lineage.digest import canonical_json
from lineage.graph import Lineage
from lineage.record import Derivation, Input
from lineage.registry import Registry
from lineage.slots import Entry
from lineage.trust import open_trust
from tasks.gate.wishes import Seat, Wish, parse_wish, seat
from tasks.handover import Note, Plan, PlannedTeacher
from tasks.model.files import load_tokenizer
from tasks.model.identity import template_digest, tokenizer_digest
from tasks.progress import report
from tasks.provenance import source_digest
from tasks.step import Bench, Measurements


class MisfitError(ValueError):
    """Teachers that must not be merged as they are; the message lists every finding."""


def make_plan(bench: Bench, teachers: Sequence[str], student: str) -> Plan:
    """Return the plan of a consolidation of ``teachers`` into the model ``student``.

    A teacher is a reference, with its share where several teach one domain (``math@3=0.7``), or
    with ``=self`` where the student itself shall teach the release's domain. The student is a
    registered checkpoint, or a published student, whose round this then goes on from.

    Raises:
        LineageError: for a reference that nothing answers to, or a release that misses a part.
        MisfitError: where the records say that the teachers do not fit.
        ValueError: for shares that do not add up.
    """
    if not teachers:
        raise ValueError("no teacher is named: give at least one, such as math@released")
    report("plan", 0, 1, message="resolve and check by record")
    wishes = [parse_wish(text) for text in teachers]
    start = _start(bench, student)
    for wish in wishes:
        _refuse_other_kind(bench, wish.reference)
    trust = open_trust()
    collected = [
        collect(bench.store, {w.reference: w.reference}, trust, start.record)[w.reference]
        for w in wishes
    ]
    domains = [candidate.release.domain for candidate in collected]
    _refuse_repeated(wishes, domains)
    findings = _check(bench, start, wishes, collected)
    entries = [bench.resolve(wish.reference, "release")[0] for wish in wishes]
    seats = seat(wishes, domains, [entry.version for entry in entries])
    plan = Plan(
        fork_point=collected[0].release.fork_point,
        student=start,
        teachers=[
            _planned(entry, candidate.release, place, start if wish.is_self else None)
            for entry, candidate, place, wish in zip(entries, collected, seats, wishes, strict=True)
        ],
        notes=[_note(finding) for finding in findings],
    )
    return plan.model_copy(update={"artifact": _store(bench, plan)})


def _start(bench: Bench, reference: str) -> Artifact:
    """Return the checkpoint that the student starts from: registered, or of a published student."""
    entry = Registry(bench.store).resolve(reference)
    if entry.kind == "student":
        return read_manifest(bench.store, entry.digest, Student).checkpoint
    return bench.resolve(reference, "checkpoint")[1]


def _check(
    bench: Bench, start: Artifact, wishes: Sequence[Wish], collected: Sequence[Candidate]
) -> list[Finding]:
    """Return what the records say against the merge; raise MisfitError where they forbid it.

    Teachers of one domain are checked one after the other beside all others' first.
    """
    tokenizer = load_tokenizer(bench.store.tree(start.digest))
    lineage = Lineage(bench.store)
    family = [start.record, *lineage.ancestors(start.record)] if start.record else []
    whole = Start(
        start.digest,
        tokenizer_digest(tokenizer),
        template_digest(tokenizer),
        family_artifacts(bench.records, family),
    )
    findings: dict[Finding, None] = {}
    # The student needs no proof that it fits itself.
    to_check = [c for c, wish in zip(collected, wishes, strict=True) if not wish.is_self]
    while to_check:
        layer = {c.release.domain: c for c in reversed(to_check)}
        findings |= dict.fromkeys(check(layer, whole))
        to_check = [c for c in to_check if c is not layer[c.release.domain]]
    refusals = [finding for finding in findings if finding.severity == "refusal"]
    if refusals:
        raise MisfitError(_refusal(refusals))
    return list(findings)


def _refuse_other_kind(bench: Bench, reference: str) -> None:
    entry = Registry(bench.store).resolve(reference, allow_recalled=True)
    if not entry.name.startswith("teacher."):
        raise MisfitError(
            f"{reference!r} is {entry.name}@{entry.version}, which is no teacher's release: "
            "`provost teacher list` shows the teachers"
        )


def _refuse_repeated(wishes: Sequence[Wish], domains: Sequence[str]) -> None:
    said = [domain for wish, domain in zip(wishes, domains, strict=True) if wish.share is None]
    repeated = sorted(domain for domain, count in Counter(said).items() if count > 1)
    if repeated:
        raise MisfitError(
            f"the domains {repeated} have several teachers among {[w.reference for w in wishes]}, "
            "and it is not said what share of the prompts each gets: name one teacher for a "
            "domain, or the share of each, such as math@3=0.7 and math@2=0.3"
        )


def _refusal(refusals: Sequence[Finding]) -> str:
    lines = [
        f"- {finding.subject} [{finding.code}]: {finding.evidence}. What to do: "
        f"{finding.next_step}."
        for finding in refusals
    ]
    return "these teachers cannot be merged as they are; nothing was trained.\n" + "\n".join(lines)


def _planned(
    entry: Entry, release: Release, place: Seat, student: Artifact | None
) -> PlannedTeacher:
    """Return a planned teacher; where ``student`` is given, that is its checkpoint."""
    checkpoint = student or release.checkpoint
    return PlannedTeacher(
        name=place.name,
        domain=release.domain,
        share=place.share,
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


def _note(finding: Finding) -> Note:
    assert finding.severity != "refusal"
    return Note(
        code=finding.code,
        severity=finding.severity,
        subject=finding.subject,
        evidence=finding.evidence,
        next_step=finding.next_step,
    )


def _store(bench: Bench, plan: Plan) -> Artifact:
    derivation = Derivation(
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
        ),
        source=source_digest("gate"),
        settings={"self": [teacher.name for teacher in plan.teachers if teacher.is_self]},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        path = folder / "plan.json"
        path.write_bytes(canonical_json(without_places(plan.model_dump(mode="json"))))
        return path

    return bench.find_or_make(derivation, "plan", make, owner="consolidation")
