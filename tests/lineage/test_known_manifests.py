"""What a list says of a manifest is read once, and again where its file was written to."""

import time

import pytest

from lineage.artifacts import Artifact
from lineage.errors import CorruptError, MissingBlobError
from lineage.registry.manifests import KnownManifests
from lineage.registry.registry import Registry
from lineage.trust.kept import Kept
from tests.lineage.test_unchanged import spoil

DATA = b"a manifest"


@pytest.fixture
def entry(store):
    made = Artifact(kind="release", digest=store.put_bytes(DATA))
    return Registry(store).register("teacher.math", made, owner="team")


@pytest.fixture
def ask(store, entry, tmp_path):
    """Return a function that gives a manifest's size as one command does, and how often it read."""

    def run(*, facts="size 1", seconds_later=10.0):
        read = []
        clock = lambda: time.time() + seconds_later  # noqa: E731
        kept = Kept(tmp_path / "kept.db", b"of this user", clock=clock)
        known = KnownManifests(store, kept, facts)

        def size():
            read.append(entry.digest)
            return len(store.get_bytes(entry.digest))

        found = known.of(entry, size)
        known.save()
        kept.save()
        return found, len(read)

    return run


def test_one_is_read_once_for_the_same_facts(ask):
    assert [ask(), ask()] == [(len(DATA), 1), (len(DATA), 0)]
    assert ask(facts="size 2") == (len(DATA), 1)


def test_one_that_was_put_a_moment_ago_is_read_again(ask):
    ask(seconds_later=0.0)
    assert ask() == (len(DATA), 1)


def test_a_blob_with_other_bytes_or_none_is_reported(ask, store, entry):
    ask()
    spoil(store.blobs.path(entry.digest))
    with pytest.raises(CorruptError):
        ask()
    store.blobs.path(entry.digest).unlink()
    with pytest.raises(MissingBlobError):
        ask()
