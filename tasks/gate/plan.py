"""Resolves a consolidation's references to digests, once, and checks by record that they fit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lineage.artifacts import Artifact, Release, read_manifest, without_places
from lineage.collect import collect
from lineage.compatibility import Candidate, Finding, Start, check
from lineage.digest import canonical_json
from lineage.record import Derivation, Input
from lineage.registry import Registry
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
    findings = _check(bench, start, teachers)
    entries = [bench.resolve(reference, "release")[0] for reference in teachers]
    releases = [read_manifest(bench.store, entry.digest, Release) for entry in entries]
    plan = Plan(
        fork_point=releases[0].fork_point,
        student=start,
        teachers=[
            _planned(entry, release) for entry, release in zip(entries, releases, strict=True)
        ],
        notes=[_note(finding) for finding in findings],
    )
    return plan.model_copy(update={"artifact": _store(bench, plan)})


def _check(bench: Bench, start: Artifact, teachers: Sequence[str]) -> list[Finding]:
    """Return what the records say against the merge; raise MisfitError where they forbid it."""
    for reference in teachers:
        _refuse_other_kind(bench, reference)
    tokenizer = load_tokenizer(bench.store.tree(start.digest))
    collected = collect(bench.store, {reference: reference for reference in teachers})
    _refuse_repeated_domains(collected)
    findings = check(
        {candidate.release.domain: candidate for candidate in collected.values()},
        Start(start.digest, tokenizer_digest(tokenizer), template_digest(tokenizer)),
    )
    refusals = [finding for finding in findings if finding.severity == "refusal"]
    if refusals:
        raise MisfitError(_refusal(refusals))
    return findings


def _refuse_other_kind(bench: Bench, reference: str) -> None:
    entry = Registry(bench.store).resolve(reference, allow_recalled=True)
    if not entry.name.startswith("teacher."):
        raise MisfitError(
            f"{reference!r} is {entry.name}@{entry.version}, which is no teacher's release: "
            "`provost teacher list` shows the teachers"
        )


def _refuse_repeated_domains(collected: Mapping[str, Candidate]) -> None:
    counts = Counter(candidate.release.domain for candidate in collected.values())
    repeated = sorted(domain for domain, count in counts.items() if count > 1)
    if repeated:
        raise MisfitError(
            f"the domains {repeated} have several teachers among {list(collected)}, but each "
            "prompt goes to one teacher: name one teacher for a domain"
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
        path.write_bytes(canonical_json(without_places(plan.model_dump(mode="json"))))
        return path

    return bench.find_or_make(derivation, "plan", make, owner="consolidation")
