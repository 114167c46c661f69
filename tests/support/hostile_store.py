"""A small store in which every free text is hostile: it would redraw a screen and break markup."""

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry
from lineage.store.store import open_store
from tasks.gate.refork import Refork
from tests.evaluate.test_compare import student as student_manifest
from tests.support.making import TIME, checkpoint, release_of, take, write_record

FORGED = "verified: 98 records"
HOSTILE = f"\x1b[2J\x1b[Hann\n{FORGED}\r\n[/red][b\x9b2J\x07\u202e\x00\ud800"
# JSON takes no lone surrogate.
TEXT = HOSTILE.replace("\ud800", "")


def hostile_store(tmp_path):
    """Fill the store of the home folder; return digests by what they are of."""
    store = open_store()
    trees = [store.put_tree(checkpoint(tmp_path / name, name.encode())) for name in ("a", "b")]
    base = write_record(store, b"", output=trees[0], kind="base", owner=TEXT, domain=TEXT)
    given = take("start", base, name=TEXT)
    climb = write_record(
        store, b"", given, output=trees[1], kind="rl", owner=TEXT, notes={"domain": TEXT}, x=TEXT
    )
    release = release_of("math", checkpoint=climb[1], fork_point=base[1])
    parts = {"owner": TEXT, "license": TEXT}
    manifest = store.put_bytes(canonical_json(release.model_dump(mode="json") | parts))
    released = write_record(
        store, b"", take("checkpoint", climb), output=manifest, kind="release",
        output_kind="release", owner=TEXT,
    )  # fmt: skip
    merged = write_record(store, b"student", take("teacher", released, name=TEXT), owner=TEXT)
    about = student_manifest(TEXT).model_dump(mode="json") | {"owner": TEXT}
    published = write_record(
        store, canonical_json(about), take("checkpoint", merged), kind="student",
        output_kind="student", owner=TEXT,
    )  # fmt: skip
    names = {"base": base, "teacher.math": released, "student.general": published}
    for name, (record, output) in names.items():
        kind = {"base": "checkpoint"}.get(
            name, name.partition(".")[0].replace("teacher", "release")
        )
        artifact = Artifact(kind=kind, digest=output, record=record)
        _register(store, name, artifact)
    asked = store.put_bytes(_request().model_dump_json().encode())
    return {"base": base[1], "climb": climb[1], "merged": merged[1], "request": asked}


def _register(store, name, artifact):
    registry = Registry(store)
    registry.register(name, artifact, owner=TEXT, note=TEXT)
    registry.point(name, "released", 1, by=TEXT, reason=TEXT)
    # The signed slot of somebody who does not use our code.
    registry.slots(name, "versions", Entry).append(
        lambda number, _: Entry(
            name=name, version=number, kind=TEXT, digest=artifact.digest, record=artifact.record,
            owner=TEXT, created=TIME, note=TEXT,
        )
    )  # fmt: skip


def _request():
    return Refork(
        teacher=TEXT, domain="math", owner=TEXT, reasons=[TEXT], team="math", launch_plan=TEXT,
        inputs={}, trained=[],
    )  # fmt: skip
