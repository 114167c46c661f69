"""A climb becomes a release; a consolidated model becomes a published student."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from lineage.artifacts import (
    Artifact,
    Prompts,
    Release,
    Sampling,
    SftData,
    Student,
    TeacherShare,
    put_manifest,
)
from lineage.record import Derivation, Input
from tasks.handover import Climb, Domain, Plan
from tasks.model.files import load_tokenizer
from tasks.model.identity import template_digest, tokenizer_digest
from tasks.progress import report
from tasks.provenance import source_digest
from tasks.publication import publish
from tasks.rollout.settings import SamplingSettings
from tasks.step import Bench, Measurements


def release_teacher(
    bench: Bench, climb: Climb, domain: Domain, scorecard: Artifact, sampling: SamplingSettings
) -> Artifact:
    """Release the last rung of a climb as the domain's teacher and point ``released`` at it."""
    settings = domain.settings
    report(f"{settings.name} release", 0, 1)
    teacher = climb.ladder[-1].checkpoint
    tokenizer = load_tokenizer(bench.store.tree(teacher.digest))
    manifest = Release(
        domain=settings.name,
        kind="rl",
        checkpoint=teacher,
        ladder=tuple(climb.ladder),
        fork_point=climb.fork_point,
        precursor=climb.precursor,
        tokenizer=tokenizer_digest(tokenizer),
        template=template_digest(tokenizer),
        thinking_mode="off",
        sampling=Sampling(temperature=sampling.temperature, max_new_tokens=sampling.max_new_tokens),
        sft=SftData(data=domain.demonstrations, sketches=domain.sketches.digest),
        prompts=Prompts(train=domain.train, validation=domain.validation),
        evaluation=domain.evaluation,
        environment=domain.environment,
        scorecard=scorecard,
        owner=settings.owner,
        licence=settings.licence,
        team_version=settings.version,
        code_version=source_digest("rl"),
    )
    parts = {**manifest.artifacts(), "sft.sketches": domain.sketches}
    released = _record(bench, "release", manifest, settings.owner, parts)
    publish(
        bench.store,
        f"teacher.{settings.name}",
        released,
        owner=settings.owner,
        note=settings.version,
    )
    report(f"{settings.name} release", 1, 1)
    return released


def publish_student(
    bench: Bench,
    plan: Plan,
    student: Artifact,
    scorecard: Artifact,
    controls: Mapping[str, Artifact],
    name: str,
) -> Artifact:
    """Publish a consolidated model under ``student.<name>`` and point ``released`` at it."""
    assert plan.artifact is not None
    derivation = bench.records.read(student.record)
    tokens = _tokens_routed(bench, plan, student)
    manifest = Student(
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
        settings={"kind": derivation.kind, "seed": derivation.seed, **derivation.settings},
        scorecard=scorecard,
        controls=dict(controls),
        plan=plan.artifact.digest,
        waivers=tuple(waiver.digest for waiver in plan.waivers),
        owner="consolidation",
    )
    parts = {
        **manifest.artifacts(),
        "plan": plan.artifact,
        **{f"release.{teacher.name}": teacher.release for teacher in plan.teachers},
        # By these the waivers stand among the student's ancestors for ever.
        **{f"waiver[{number}]": waiver for number, waiver in enumerate(plan.waivers)},
    }
    published = _record(bench, "student", manifest, manifest.owner, parts)
    publish(bench.store, f"student.{name}", published, owner=manifest.owner)
    return published


def resolve_checkpoint(bench: Bench, reference: str) -> Artifact:
    """Return the checkpoint that a reference such as ``fork-point@released`` stands for.

    Of a published student, such as ``student.general@2``, its own: later rounds start there.
    """
    return bench.start(reference)


def register_checkpoint(bench: Bench, name: str, checkpoint: Artifact, owner: str) -> Artifact:
    """Register a base or a fork point under its name, point ``released`` at it, and return it."""
    publish(bench.store, name, checkpoint, owner=owner)
    return checkpoint


def _record(
    bench: Bench,
    kind: str,
    manifest: Release | Student,
    owner: str,
    parts: Mapping[str, Artifact],
) -> Artifact:
    """Store a manifest with the record that says what it was put together from."""
    digest = put_manifest(bench.store, manifest)
    derivation = Derivation(
        project=bench.project,
        kind=kind,
        inputs=tuple(
            Input(role=part, artifact=artifact.digest, record=artifact.record)
            for part, artifact in sorted(parts.items())
        ),
        source=source_digest("release"),
        settings={"manifest": digest},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        path = folder / f"{kind}.json"
        path.write_bytes(bench.store.get_bytes(digest))
        return path

    return bench.find_or_make(derivation, kind, make, owner)


def _tokens_routed(bench: Bench, plan: Plan, student: Artifact) -> Counter[str]:
    """Return how many response tokens each teacher scored, over all rounds since the plan's start.

    Each round's record names the student that it started from, and its metrics count the tokens.
    """
    prefix = "tokens_routed/"
    tokens: Counter[str] = Counter()
    record = student.record
    while record and record != plan.student.record:
        attestation = bench.records.output(record)
        blob = attestation.metrics if attestation else ""
        for line in bench.store.get_bytes(blob).splitlines() if blob else ():
            row = json.loads(line)
            if row["name"].startswith(prefix):
                tokens[row["name"].removeprefix(prefix)] += int(row["value"])
        starts = [item for item in bench.records.read(record).inputs if item.role == "student"]
        record = starts[0].record if starts else ""
    return tokens
