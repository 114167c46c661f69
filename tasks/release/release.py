"""Releases the teacher of a climb.

A release is recorded with its parts, each under its role; so is a student (``student``).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from transformers import PreTrainedTokenizerBase

from lineage.artifacts import (
    Artifact,
    Prompts,
    Release,
    Rung,
    Sampling,
    SftData,
    Student,
    check_parts,
    put_manifest,
)
from lineage.declared import Declared
from lineage.operations.recall import refuse_recalled_family
from lineage.records.record import Derivation, Input
from lineage.rules.evidence import Breach, Evidence, artifact_of, refuse_broken, taken
from lineage.rules.measured import FORK_POINT, METHOD, measured
from lineage.rules.release import CLIMBS, IMPORT, check_release
from tasks.contracts.handover import Domain
from tasks.contracts.publication import CANDIDATE, RELEASED, publish
from tasks.model.files import load_tokenizer
from tasks.model.identity import template_digest, tokenizer_digest
from tasks.model.training_templates import template_of_ours
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.release.gain import LEAST_SCORE, gain_of
from tasks.rollout.settings import SamplingSettings


def release_teacher(
    runner: StepRunner, ladder: Sequence[Rung], domain: Domain, scorecard: Artifact
) -> Artifact:
    """Release the last rung of a climb as the domain's teacher.

    ``candidate`` points at it, and ``released`` too if it beats the fork point and reaches the
    team's ``least_score``. The climb's start, its sampling, and the scorecard's comparison are read
    from the records.

    Raises:
        BrokenRuleError: if ladder, domain and scorecard are not of one climb.
        RecalledError: if an ancestor of the teacher has been recalled.
        LineageError: for a part that is missing or of the wrong kind. Nothing is written then.
    """
    settings = domain.settings
    report(f"{settings.name} release", 0, 1)
    manifest = _manifest(runner, ladder, domain, scorecard)
    parts = manifest.artifacts()
    if manifest.sft:
        parts["sft.sketches"] = domain.sketches
    check_parts(runner.store, manifest)
    made = derivation_of(runner, "release", parts, "")
    what = f"the {settings.name} teacher"
    refuse_broken(what, list(check_release(Evidence(runner.store), made, manifest)))
    refuse_recalled_family(runner.store, parts.values())
    gain = gain_of(runner.store, manifest)
    unmet = gain.unmet(settings.least_score)
    notes = {LEAST_SCORE: settings.least_score}
    released = record_manifest(runner, "release", manifest, parts, notes)
    publish(
        runner,
        f"teacher.{settings.name}",
        released,
        owner=settings.owner,
        note=settings.version,
        aliases=(CANDIDATE,) if unmet else (CANDIDATE, RELEASED),
    )
    message = f"only a candidate: {unmet}, gain {gain}" if unmet else ""
    report(f"{settings.name} release", 1, 1, message=message)
    return released


def _manifest(
    runner: StepRunner, ladder: Sequence[Rung], domain: Domain, scorecard: Artifact
) -> Release:
    settings, teacher = domain.settings, ladder[-1].checkpoint
    climb = runner.records.read(teacher.record)
    if climb.kind == IMPORT:
        return _imported_manifest(runner, teacher, climb, domain, scorecard)
    sampling = SamplingSettings.model_validate(climb.settings["sampling"])
    tokenizer = load_tokenizer(runner.store.tree(teacher.digest))
    return Release(
        domain=settings.name,
        kind="rl",
        checkpoint=teacher,
        ladder=tuple(ladder),
        fork_point=_compared_with(runner, scorecard),
        precursor=_started_from(climb),
        sft=SftData(data=domain.demonstrations, sketches=domain.sketches.digest),
        **parts_of_domain(domain, scorecard, tokenizer, sampling),
        code_version=climb.source if climb.kind == "external" else source_digest("rl"),
    )


def parts_of_domain(
    domain: Domain,
    scorecard: Artifact,
    tokenizer: PreTrainedTokenizerBase,
    sampling: SamplingSettings,
) -> dict[str, Any]:
    """Return what a release says of its domain and tokenizer, whatever made the teacher."""
    settings = domain.settings
    return {
        "tokenizer": tokenizer_digest(tokenizer),
        "template": template_digest(tokenizer),
        "training_template": template_of_ours(tokenizer),
        "thinking_mode": "off",
        "sampling": Sampling(
            temperature=sampling.temperature, max_new_tokens=sampling.max_new_tokens
        ),
        "prompts": Prompts(train=domain.train, validation=domain.validation),
        "evaluation": domain.evaluation,
        "environment": domain.environment,
        "system_prompt": settings.system_prompt,
        "scorecard": scorecard,
        "owner": settings.owner,
        "license": settings.license,
        "team_version": settings.version,
    }


def _imported_manifest(
    runner: StepRunner, teacher: Artifact, made: Derivation, domain: Domain, scorecard: Artifact
) -> Release:
    """Return the release of a teacher that was trained elsewhere: what is unknown stays open."""
    settings, fork_point = domain.settings, _compared_with(runner, scorecard)
    card = runner.records.read(scorecard.record)
    sampling = SamplingSettings.model_validate(card.settings["sampling"])
    declared = Declared.model_validate(made.settings["declared"])
    tokenizer = load_tokenizer(runner.store.tree(teacher.digest))
    return Release(
        domain=settings.name,
        kind="imported",
        checkpoint=teacher,
        ladder=(),
        fork_point=fork_point,
        precursor=fork_point,
        sft=None,
        **parts_of_domain(domain, scorecard, tokenizer, sampling),
        code_version=declared.code or "unknown",
        declared=declared,
    )


def _started_from(climb: Derivation) -> Artifact:
    """Return the initial checkpoint of a climb."""
    starts = taken(climb, "start")
    if climb.kind not in CLIMBS or len(starts) != 1:
        what = f"its record is of kind {climb.kind} and takes {len(starts)} starts"
        refuse_broken(
            "the teacher", [Breach("ladder", (f"the last rung is not from a climb: {what}"))]
        )
    return artifact_of(starts[0])


def _compared_with(runner: StepRunner, scorecard: Artifact) -> Artifact:
    """Return the fork point that a scorecard measured beside the teacher."""
    card = runner.records.read(scorecard.record)
    found = measured(Evidence(runner.store), card)
    fork_points = {each.checkpoint for each in found if each.label == f"{METHOD}{FORK_POINT}"}
    if len(fork_points) != 1:
        what = f"it compares the teacher with {len(fork_points)} fork points"
        refuse_broken("the teacher", [Breach("scorecard", what)])
    return fork_points.pop()


def derivation_of(
    runner: StepRunner, kind: str, parts: Mapping[str, Artifact], manifest: str
) -> Derivation:
    """Return how a manifest (a digest; "" before it is stored) is made from its parts."""
    return Derivation(
        project=runner.project,
        kind=kind,
        inputs=tuple(Input.of(part, artifact) for part, artifact in sorted(parts.items())),
        source=source_digest("release"),
        settings={"manifest": manifest},
        seed=0,
    )


def record_manifest(
    runner: StepRunner,
    kind: str,
    manifest: Release | Student,
    parts: Mapping[str, Artifact],
    notes: Mapping[str, JsonValue] | None = None,
) -> Artifact:
    """Store a manifest with the record of its parts; the attestation keeps ``notes``."""
    digest = put_manifest(runner.store, manifest)

    def make(folder: Path, measurements: Measurements) -> Path:
        path = folder / f"{kind}.json"
        path.write_bytes(runner.store.get_bytes(digest))
        return path

    derivation = derivation_of(runner, kind, parts, digest)
    return runner.find_or_make(derivation, kind, make, manifest.owner, notes=notes)
