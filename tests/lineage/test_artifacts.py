"""Releases and students: whole, of the right parts, in the store; or refused by the part."""

import json

import pytest
from pydantic import ValidationError

from lineage.artifacts import (
    Artifact,
    Release,
    Rung,
    Student,
    TeacherShare,
    parse_manifest,
    put_manifest,
    read_manifest,
)
from lineage.errors import LineageError
from tests.support.making import checkpoint, release_of
from tests.support.refused import invalid, raised

PARTS = ("scorecard", "environment", "sft", "train", "validation", "evaluation", "sketches")
MODELS = ("checkpoint", "rung", "fork_point", "precursor")


@pytest.fixture
def digests(store, tmp_path):
    tree = store.put_tree(checkpoint(tmp_path / "in"))
    rest = {part: store.put_bytes(part.encode()) for part in PARTS}
    return dict.fromkeys(MODELS, tree) | rest


def test_a_release_comes_back_as_it_was(store, digests):
    release = release_of("math", **digests)
    assert read_manifest(store, put_manifest(store, release), Release) == release
    assert put_manifest(store, release) == put_manifest(store, release)


OPTIONAL = {"schema_version", "declared", "system_prompt", "training_template"}


@pytest.mark.parametrize("part", sorted(Release.model_fields.keys() - OPTIONAL))
def test_a_release_that_misses_a_part_is_refused_by_its_name(part):
    document = release_of("math").model_dump(mode="json")
    del document[part]
    with raised(LineageError, "invalid-manifest", f"{part}: "):
        parse_manifest(json.dumps(document).encode(), Release)


@pytest.mark.parametrize("schema", [0, 2])
def test_a_release_of_another_time_is_refused_by_its_schema(schema):
    document = {"schema_version": schema, "name": "teacher.math"}
    with raised(LineageError, "other-schema", f"schema {schema}", "schema 1"):
        parse_manifest(json.dumps(document).encode(), Release)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_a_file_that_is_not_a_manifest_is_refused(data):
    with pytest.raises(LineageError):
        parse_manifest(data, Release)


@pytest.mark.parametrize("part", sorted({*MODELS, *PARTS}))
def test_a_part_that_is_not_in_the_store_is_named(store, digests, part):
    named = {"rung": "ladder[1]", "train": "prompts.train", "sft": "sft.data"}
    missing = digests | {part: "sha256:" + "0" * 64}
    with raised(LineageError, "missing-part", named.get(part, "")):
        put_manifest(store, release_of("math", **missing))


def test_a_part_of_another_kind_and_a_missing_checkpoint_are_refused(store, digests):
    release = release_of("math", **digests)
    wrong = release.model_copy(update={"environment": release.checkpoint})
    with raised(LineageError, "other-kind", "'environment'", "checkpoint"):
        put_manifest(store, wrong)
    rows = store.put_bytes(b"rows")
    with pytest.raises(LineageError):
        put_manifest(store, release_of("math", **(digests | {"checkpoint": rows})))


def test_a_ladder_climbs_and_a_climb_has_one(digests):
    release = release_of("math", **digests).model_dump()
    rung = Rung(step=1, checkpoint=release["checkpoint"])
    with pytest.raises(ValidationError, match=r"\[1, 1\]"):
        Release.model_validate(release | {"ladder": [rung, rung]})
    with pytest.raises(ValidationError, match="ladder"):
        Release.model_validate(release | {"ladder": []})
    assert Release.model_validate(release | {"ladder": [], "kind": "sft"}).ladder == ()


def test_a_student_names_its_teachers_and_its_controls(store, digests):
    def of(kind, digest):
        return Artifact(kind=kind, digest=digest)

    tree = digests["checkpoint"]
    share = TeacherShare(domain="math", release=digests["sft"], reference="math@1", weight=1.0)
    student = Student(
        checkpoint=of("checkpoint", tree),
        fork_point=of("checkpoint", tree),
        teachers=(share,),
        settings={"steps": 3},
        scorecard=of("scorecard", digests["scorecard"]),
        controls={"parameter_average": of("checkpoint", tree)},
        plan=digests["train"],
        owner="consolidation",
    )
    assert read_manifest(store, put_manifest(store, student), Student) == student
    absent = {"plan": "sha256:" + "0" * 64}
    with raised(LineageError, "missing-part"):
        put_manifest(store, student.model_copy(update=absent))
    with pytest.raises(ValidationError):
        Student.model_validate(student.model_dump() | {"teachers": []})


def test_an_artifact_needs_a_digest_and_takes_no_stranger():
    with pytest.raises(ValidationError, match="'abc'"):
        Artifact(kind="checkpoint", digest="abc")
    with invalid("extra_forbidden", "path"):
        Artifact.model_validate({"kind": "x", "digest": "sha256:" + "0" * 64, "path": "/"})


def test_a_system_prompt_comes_back_and_a_release_without_one_is_written_as_ever(store, digests):
    plain = release_of("math", **digests)
    assert b"system_prompt" not in store.get_bytes(put_manifest(store, plain))
    prompted = plain.model_copy(update={"system_prompt": "loud"})
    assert read_manifest(store, put_manifest(store, prompted), Release) == prompted
