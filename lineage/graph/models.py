"""Which model is meant: behind an artifact, by a reference, and who published it."""

from lineage.artifacts import Artifact, Release, Student, parse_manifest
from lineage.errors import LineageError
from lineage.graph.graph import Lineage
from lineage.records.record import Records
from lineage.store.store import Store


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


def checkpoint_named(store: Store, reference: str) -> Artifact:
    """Return the checkpoint that a reference names: of a student, of a release, or itself.

    A reference is what ``Lineage.find`` takes; it may name a recalled version. Raises LineageError
    if it does not name a model.
    """
    records = Records(store)
    record = Lineage(store).find(reference)
    made = records.output(record)
    found = made and checkpoint_behind(store, records, made.output, record)
    if not found:
        what = f"a {made.output_kind}" if made else "a record without an output in this store"
        raise LineageError(
            f"{reference!r} names {what}, not a model: name a student, such as student@released, "
            "or the digest of a checkpoint"
        )
    return found


def students_of(store: Store, checkpoint: Artifact) -> list[Artifact]:
    """Return the students' manifests that publish a checkpoint, in the order of their records.

    Those of the project that made it: others publish nothing of what they did not make.
    """
    records = Records(store)
    project = records.read(checkpoint.record).project
    found = []
    for user in Lineage(store).index.users(checkpoint.digest):
        if records.read(user).project != project:
            continue
        made = records.output(user)
        if made is None or made.output_kind != "student":
            continue
        if checkpoint_behind(store, records, made.output, user) == checkpoint:
            found.append(Artifact(kind="student", digest=made.output, record=user))
    return found
