"""A second verification hashes only what may have changed, and says what it did not hash."""

import os
import time

import pytest

from lineage.digest import digest_bytes
from lineage.dsse import SigningKey, parse_envelope, sign
from lineage.operations.unchanged import Note, Unchanged, read_note
from lineage.operations.verify import Verifier
from tests.support.families import Family
from tests.support.making import safetensors

TOKENIZER, TEMPLATE = digest_bytes(b"tokenizer"), digest_bytes(b"template")
KEY = SigningKey.generate()


@pytest.fixture
def family(store, tmp_path):
    return Family(store, tmp_path, TOKENIZER, TEMPLATE).made


@pytest.fixture
def verify(store, family, tmp_path):
    """Return a function that verifies the release as one run of the command does."""

    def run(*, key=KEY, code="1", full=False, seconds_later=10.0, identity=None):
        path = tmp_path / "note.json"
        note = Unchanged(
            store,
            key,
            path,
            read_note(store, key, code, path),
            is_believed=not full,
            clock=lambda: time.time() + seconds_later,
        )
        identity = identity or (lambda _: (TOKENIZER, TEMPLATE))
        return Verifier(store, identity, unchanged=note).verify(family["release"][0])

    store.tree(family["teacher"][1])  # links to its files, which the first reading would make
    return run


@pytest.fixture
def weights(store):
    """The file of the fork point's weights."""
    return store.blobs.path(digest_bytes(safetensors(b"fork")))


def spoil(path):
    """Change the last byte and keep size and modification time, as a careful attacker does."""
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_second_verification_hashes_nothing_and_says_so(verify):
    first, second = verify(), verify()
    assert (first.unchanged, first.since) == (0, None)
    assert first.passed
    assert second.passed
    assert (second.blobs, second.records) == (first.blobs, first.records)
    assert (second.size, second.unchanged) == (0, second.blobs)
    assert second.unchanged_size == first.size > 0
    assert second.since == pytest.approx(time.time() + 10, abs=60)


def test_bytes_replaced_under_the_same_size_and_time_are_found(verify, weights):
    assert verify().passed
    spoil(weights)
    found = verify()
    assert found.unchanged == found.blobs
    assert [problem.subject.split()[1] for problem in found.problems] == ["model.safetensors"]
    assert not verify().passed  # nothing was noted of it


def test_a_missing_blob_is_found(verify, weights):
    verify()
    weights.unlink()
    assert not verify().passed


def test_a_full_verification_hashes_everything_again_and_renews_the_note(verify):
    first = verify()
    full = verify(full=True, seconds_later=100)
    assert (full.size, full.unchanged) == (first.size, 0)
    assert verify().since == pytest.approx(time.time() + 100, abs=60)


def test_only_a_full_verification_sees_what_leaves_no_trace_in_the_file_system(
    verify, store, weights, tmp_path
):
    """As a disk that went bad, or an administrator who writes past the file system."""
    verify()
    spoil(weights)
    note = read_note(store, KEY, "1", tmp_path / "note.json")
    digest = digest_bytes(safetensors(b"fork"))
    known = note.blobs[digest].model_copy(update={"status": store.blobs.status(digest)})
    note.blobs[digest] = known
    unseen = Unchanged(store, KEY, tmp_path / "note.json", note)
    unseen.is_changed = True
    unseen.save()
    assert verify().passed
    assert not verify(full=True).passed
    assert not verify().passed  # what was found is no longer believed


def test_a_file_written_a_moment_ago_is_not_noted(verify):
    verify(seconds_later=0.0)
    assert verify().unchanged == 0


@pytest.mark.parametrize("forge", ["another key", "no signature", "another store", "garbage"])
def test_a_note_of_anybody_else_is_not_believed(verify, store, tmp_path, forge):
    verify()
    path, other = tmp_path / "note.json", SigningKey.generate()
    envelope = parse_envelope(path.read_bytes(), "")
    note = Note.model_validate_json(envelope.payload)
    kind = envelope.payload_type
    if forge == "another key":
        path.write_bytes(sign(envelope.payload, other, kind).to_bytes())
    elif forge == "no signature":
        envelope.signatures.clear()
        path.write_bytes(envelope.to_bytes())
    elif forge == "another store":
        moved = note.model_copy(update={"store": "/elsewhere"})
        path.write_bytes(sign(moved.model_dump_json().encode(), KEY, kind).to_bytes())
    else:
        path.write_bytes(b"{")
    assert read_note(store, KEY, "1", path) == Note(store=store.uri, code="1")
    assert verify().unchanged == 0


def test_tokenizers_are_read_again_by_other_code(verify):
    read = []

    def identity(folder):
        read.append(folder)
        return TOKENIZER, TEMPLATE

    verify(identity=identity)
    verify(identity=identity)
    assert len(read) == 1
    found = verify(identity=lambda _: (TEMPLATE, TEMPLATE), code="2")
    assert [problem.what.split()[2] for problem in found.problems] == ["tokenizer"]
    assert found.unchanged > 0  # the files stay known


def test_a_wrong_tokenizer_stays_wrong(verify):
    for _ in range(2):
        found = verify(identity=lambda _: (TEMPLATE, TEMPLATE))
        assert [problem.what.split()[2] for problem in found.problems] == ["tokenizer"]


def test_a_note_that_cannot_be_written_costs_time_alone(verify, tmp_path):
    (tmp_path / "note.json").mkdir()
    assert verify().passed
    assert verify().unchanged == 0
