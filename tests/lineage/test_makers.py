"""Of several who gave the same bytes, the one that is meant is found, or asked for."""

import pytest

from lineage.artifacts import Artifact
from lineage.errors import AmbiguousReferenceError
from lineage.graph.graph import Lineage
from lineage.registry.registry import Registry
from tests.support.making import write_record
from tests.support.teams import Shared


@pytest.fixture
def shared(tmp_path):
    return Shared(tmp_path / "shared")


def test_the_first_of_one_project_is_found(shared, tmp_path):
    made = [write_record(shared.math, b"same", kind=kind)[0] for kind in ("rl", "sft")]
    _, output = write_record(shared.math, b"same")
    assert Lineage(shared.math, tmp_path / "index.db").find(output) in made


def test_bytes_of_two_projects_need_a_name_or_a_record(shared, tmp_path):
    ours, output = write_record(shared.math, b"same")
    theirs, _ = write_record(shared.code, b"same")
    lineage = Lineage(shared.consolidation, tmp_path / "index.db")
    with pytest.raises(AmbiguousReferenceError):
        lineage.find(output)
    assert lineage.find(theirs) == theirs
    assert Lineage(shared.math, tmp_path / "index.db").find(output) == ours
    artifact = Artifact(kind="release", digest=output, record=theirs)
    Registry(shared.math).register("teacher.math", artifact, owner="math-team")
    with pytest.raises(AmbiguousReferenceError):
        lineage.find(output)  # registered by who did not make it


def test_what_its_maker_registered_is_meant(shared, tmp_path):
    ours, output = write_record(shared.math, b"same")
    write_record(shared.code, b"same")
    artifact = Artifact(kind="release", digest=output, record=ours)
    Registry(shared.code).register("teacher.code", artifact, owner="code-team")
    lineage = Lineage(shared.consolidation, tmp_path / "index.db")
    with pytest.raises(AmbiguousReferenceError):
        lineage.find(output)
    Registry(shared.math).register("teacher.math", artifact, owner="math-team")
    assert lineage.find(output) == ours


def test_a_digest_that_two_makers_registered_needs_a_name(shared, tmp_path):
    """Whoever knows a digest can attest the same bytes and register them under an earlier name."""
    ours, output = write_record(shared.math, b"same")
    theirs, _ = write_record(shared.code, b"same")
    lineage = Lineage(shared.consolidation, tmp_path / "index.db")
    registry = Registry(shared.consolidation)
    for store, name, record in (
        (shared.math, "teacher.math", ours),
        (shared.code, "teacher.code", theirs),
    ):
        artifact = Artifact(kind="release", digest=output, record=record)
        Registry(store).register(name, artifact, owner=name)
    for ask in (lineage.find, registry.resolve):
        with pytest.raises(AmbiguousReferenceError) as refused:
            ask(output)
        assert "math" in str(refused.value)
    for team, record in (("math-team", ours), ("code-team", theirs)):  # each has its own
        assert Registry(shared.of(team)).resolve(output).record == record
        assert Lineage(shared.of(team), tmp_path / "index.db").find(output) == record
    assert registry.resolve("teacher.math@1").record == ours
    assert lineage.find("teacher.math@1") == ours


def test_a_record_that_never_gave_a_digest_names_no_maker(shared):
    ours, output = write_record(shared.math, b"same")
    other, _ = write_record(shared.code, b"other")
    for store, name, record in (
        (shared.math, "teacher.math", ours),
        (shared.code, "teacher.code", other),
    ):
        artifact = Artifact(kind="release", digest=output, record=record)
        Registry(store).register(name, artifact, owner=name)
    assert Registry(shared.consolidation).resolve(output).name == "teacher.math"
