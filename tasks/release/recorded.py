"""Records a manifest with its parts, each under its role."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Artifact, Release, Student, put_manifest
from lineage.records.record import Derivation, Input
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner


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
