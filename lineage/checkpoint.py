"""The checkpoint behind an artifact: itself, or the one that its release or student names."""

from lineage.artifacts import Artifact, Release, Student, parse_manifest
from lineage.record import Records
from lineage.store import Store


def checkpoint_behind(store: Store, records: Records, digest: str, record: str) -> Artifact | None:
    """Return the checkpoint that a recorded output is or names.

    None for data, reports and the like, and for what no record made.
    """
    if not record:
        return None
    kinds = {
        attestation.output_kind
        for attestation in records.attestations(record)
        if attestation.output == digest
    }
    if "release" in kinds:
        return parse_manifest(store.get_bytes(digest), Release).checkpoint
    if "student" in kinds:
        return parse_manifest(store.get_bytes(digest), Student).checkpoint
    if "checkpoint" in kinds:
        return Artifact(kind="checkpoint", digest=digest, record=record)
    return None
