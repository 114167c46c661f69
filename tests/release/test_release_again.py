"""A rerun finds its version and never moves an alias back."""

import pytest

from lineage.artifacts import Artifact
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.contracts.publication import publish
from tasks.platform.step_runner import StepRunner
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror

NAME = "teacher.math"


@pytest.fixture
def store(home):
    return open_store()


def release(store, number):
    record, digest = write_record(
        store, f"release {number}".encode(), kind="release", output_kind="release", number=number
    )
    artifact = Artifact(kind="release", digest=digest, record=record)
    both = ("candidate", "released")
    return publish(
        StepRunner(store, mirror=MemoryMirror()), NAME, artifact, owner="team-math", aliases=both
    ).version


def released(store):
    return Registry(store).aliases(NAME)


def test_a_new_version_takes_both_aliases(store):
    assert [release(store, 1), release(store, 2)] == [1, 2]
    assert released(store) == {"candidate": 2, "released": 2}


def test_an_older_version_again_leaves_the_aliases_alone(store):
    for number in (1, 2):
        release(store, number)
    moves = Registry(store).moves(NAME)
    assert release(store, 1) == 1
    assert released(store) == {"candidate": 2, "released": 2}
    assert Registry(store).moves(NAME) == moves


def test_a_rollback_outlasts_a_rerun_of_the_version_that_was_rolled_back(store):
    for number in (1, 2):
        release(store, number)
    Registry(store).point(NAME, "released", 1, by="ann", reason="2 answers in verse")
    release(store, 2)
    assert released(store) == {"candidate": 2, "released": 1}


def test_a_run_that_ends_last_does_not_outdo_a_later_version(store):
    """Version 1 was registered first and its run came to the alias last."""
    record, digest = write_record(
        store, b"release 1", kind="release", output_kind="release", number=1
    )
    early = Artifact(kind="release", digest=digest, record=record)
    Registry(store).register(NAME, early, owner="team-math")
    release(store, 2)
    assert release(store, 1) == 1
    assert released(store)["released"] == 2


def test_a_run_that_was_killed_before_the_move_ends_it_when_it_comes_again(store):
    release(store, 1)
    record, digest = write_record(
        store, b"release 2", kind="release", output_kind="release", number=2
    )
    late = Artifact(kind="release", digest=digest, record=record)
    Registry(store).register(NAME, late, owner="team-math")
    assert release(store, 2) == 2
    assert released(store) == {"candidate": 2, "released": 2}


def test_a_publication_without_aliases_moves_none(store):
    record, digest = write_record(store, b"audit", kind="audit", output_kind="audit")
    artifact = Artifact(kind="audit", digest=digest, record=record)
    mirror = MemoryMirror()
    runner = StepRunner(store, mirror=mirror)
    publish(runner, "audit.general", artifact, owner="consolidation", aliases=())
    assert Registry(store).moves("audit.general") == []
    assert mirror.names == ["audit.general"]
