"""Verification names the file or record that is wrong, and finds all of them."""

import pytest

from lineage.artifacts import Artifact
from lineage.digest import digest_bytes
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.registry.registry import Registry
from tests.support.families import Family
from tests.support.making import checkpoint, safetensors, take, write_record

TOKENIZER, TEMPLATE = digest_bytes(b"tokenizer"), digest_bytes(b"template")


@pytest.fixture
def family(store, tmp_path):
    """A base, a fork point, a teacher and its release: each checkpoint a real folder."""
    return Family(store, tmp_path, TOKENIZER, TEMPLATE).made


def verify(store, record, identity=lambda folder: (TOKENIZER, TEMPLATE)):
    return Verifier(store, identity).verify(record)


def spoil(path):
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_what_is_whole_passes_and_everything_was_hashed(store, family):
    found = verify(store, family["release"][0])
    assert found.problems == []
    assert found.passed
    # base, fork point, precursor, rung and teacher; the bundle, four data sets and their sketch;
    # two measurements and the scorecard; the release
    assert found.records == 5 + 6 + 3 + 1
    # of each checkpoint a manifest and its safetensors, one config and one note that all share
    assert found.blobs == 2 * 5 + 2 + 6 + 3 + 1
    assert found.unknown == []


def test_a_flipped_byte_is_named_by_file_and_record(store, family):
    spoil(store.blobs.path(digest_bytes(safetensors(b"fork"))))
    found = verify(store, family["release"][0])
    assert not found.passed
    assert any("file model.safetensors" in p.subject for p in found.problems)
    assert verify(store, family["base"][0]).passed


def test_what_lies_behind_a_raw_input_is_verified_as_well(store, family):
    raw = store.put_bytes(b"raw rows")
    inputs = (take("data", ("", raw)), take("start", family["fork"]))
    record, _ = write_record(store, b"weights", *inputs)
    assert verify(store, record).passed
    spoil(store.blobs.path(digest_bytes(safetensors(b"base"))))
    found = verify(store, record)
    assert any("file model.safetensors" in problem.subject for problem in found.problems)


def test_a_missing_file_a_bad_manifest_and_a_bad_record_are_all_found(store, family):
    store.blobs.path(digest_bytes(safetensors(b"base"))).unlink()
    spoil(store.blobs.path(family["fork"][1]))
    spoil(store.blobs.path(family["teacher"][0]))
    found = verify(store, family["release"][0])
    said = " ".join(f"{p.subject} {p.what}" for p in found.problems)
    assert f"record {family['teacher'][0]}" in said
    # the walk ends at the damaged record; what lies beyond it is verified on its own
    said = " ".join(f"{p.subject} {p.what}" for p in verify(store, family["fork"][0]).problems)
    assert "model.safetensors" in said
    assert family["fork"][1] in said


def test_a_tokenizer_that_is_another_is_found(store, family):
    found = verify(store, family["release"][0], identity=lambda folder: (TEMPLATE, TEMPLATE))
    assert [p.what.split()[2] for p in found.problems] == ["tokenizer"]


def test_signatures_and_recalls_are_shown(store, family):
    record, digest = family["release"]
    registry = Registry(store)
    artifact = Artifact(kind="release", digest=digest, record=record)
    registry.register("teacher.math", artifact, owner="math-team")
    found = verify(store, record)
    assert [(item.state, item.team) for item in found.signatures] == [("signed", "local")]
    assert found.passed
    registry.recall("teacher.math", 1, by="lead", reason="leak")
    assert [p.what for p in verify(store, record).problems] == ["was recalled: leak"]


def test_a_record_that_gave_two_outputs_is_reported(store, family):
    record, output = family["base"]
    store.blobs.path(output).unlink()
    other = checkpoint(store.blobs.path(output).parent / "remade", b"other bytes")
    records = Records(store)
    said = records.attestations(record)[0].model_copy(update={"output": store.put_tree(other)})
    records.write(records.read(record), said)
    found = verify(store, family["base"][0])
    assert found.nondeterministic == [record]
    assert found.passed
