"""Resolves a consolidation's references to digests, once, and checks by record that they fit."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.compatibility import Candidate, Finding, Start, check
from lineage.digest import canonical_json
from lineage.graph import Lineage
from lineage.record import Derivation, Input
from lineage.slots import Entry
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

    Raises:
        LineageError: for a reference that nothing answers to, or a release that misses a part.
        MisfitError: where the records say that the teachers do not fit.
    """
    if not teachers:
        raise ValueError("no teacher is named: give at least one, such as math@released")
    report("plan", 0, 1, message="resolve and check by record")
    _, start = bench.resolve(student, "checkpoint")
    entries = [bench.resolve(reference, "release")[0] for reference in teachers]
    releases = [read_manifest(bench.store, entry.digest, Release) for entry in entries]
    _refuse_repeated_domains(teachers, releases)
    findings = _findings(bench, start, entries, releases)
    refusals = [finding for finding in findings if finding.severity == "refusal"]
    if refusals:
        raise MisfitError(_refusal(refusals))
    plan = Plan(
        fork_point=releases[0].fork_point,
        student=start,
        teachers=tuple(
            _planned(entry, release) for entry, release in zip(entries, releases, strict=True)
        ),
        notes=tuple(_note(finding) for finding in findings),
    )
    return plan.model_copy(update={"artifact": _store(bench, plan)})


def _refuse_repeated_domains(teachers: Sequence[str], releases: Sequence[Release]) -> None:
    counts = Counter(release.domain for release in releases)
    repeated = sorted(domain for domain, count in counts.items() if count > 1)
    if repeated:
        raise MisfitError(
            f"the domains {repeated} have several teachers among {list(teachers)}, but each "
            "prompt goes to one teacher: name one teacher for a domain"
        )


def _findings(
    bench: Bench, start: Artifact, entries: Sequence[Entry], releases: Sequence[Release]
) -> list[Finding]:
    tokenizer = load_tokenizer(bench.store.tree(start.digest))
    lineage = Lineage(bench.store)
    candidates = {
        release.domain: Candidate(
            reference=f"{entry.name}@{entry.version}",
            release=release,
            ancestors=_ancestors(bench, lineage, release.checkpoint.record),
        )
        for entry, release in zip(entries, releases, strict=True)
    }
    return check(
        candidates,
        Start(start.digest, tokenizer_digest(tokenizer), template_digest(tokenizer)),
    )


def _ancestors(bench: Bench, lineage: Lineage, record: str) -> frozenset[str]:
    """Return the digests of all artifacts that the record's output descends from."""
    if not record:
        return frozenset()
    return frozenset(
        attestation.output
        for ancestor in lineage.ancestors(record)
        for attestation in bench.records.attestations(ancestor)
    )


def _refusal(refusals: Sequence[Finding]) -> str:
    lines = [
        f"- {finding.subject} [{finding.code}]: {finding.evidence}. What to do: "
        f"{finding.next_step}."
        for finding in refusals
    ]
    return "these teachers cannot be merged as they are; nothing was trained.\n" + "\n".join(lines)


def _planned(entry: Entry, release: Release) -> PlannedTeacher:
    return PlannedTeacher(
        domain=release.domain,
        reference=f"{entry.name}@{entry.version}",
        owner=release.owner,
        release=Artifact(kind="release", digest=entry.digest, record=entry.record),
        checkpoint=release.checkpoint,
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
                    name=teacher.domain,
                )
                for teacher in plan.teachers
            ),
        ),
        source=source_digest("gate"),
        settings={},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        path = folder / "plan.json"
        path.write_bytes(canonical_json(plan.model_dump(mode="json")))
        return path

    return bench.find_or_make(derivation, "plan", make, owner="consolidation")
