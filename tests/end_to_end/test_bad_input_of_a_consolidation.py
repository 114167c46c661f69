"""What a consolidation is asked for and cannot do: refused before anything is trained."""

import json

import pytest

from lineage.artifacts import Artifact, Release, put_manifest, read_manifest
from lineage.digest import canonical_json
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tests.support.refusals import flip, provost, refusal
from tests.support.tiny_faculty import PACKAGE, Contents, climb, kinds, make_fork_point

RECALL = ("teacher", "recall", "shout@1", "--yes")


def consolidation(*options, teachers="shout@released,whisper@released", recorded=None):
    """Return the refusal of a consolidation; nothing was trained, measured or merged.

    Teachers that the records speak against leave a plan with its findings, and no more.
    """
    before = Contents.now().records
    message = refusal("run", "consolidation", "--mopd-steps", "2", "--teachers", teachers, *options)
    assert kinds(Contents.now().records - before) == (recorded or {})
    return message


def release_of(team):
    store = open_store()
    return read_manifest(store, Registry(store).resolve(f"{team}@released").digest, Release)


def register(name, digest):
    """Register a release that no climb has made."""
    artifact = Artifact(kind="release", digest=digest)
    return Registry(open_store()).register(name, artifact, owner="team")


def test_an_unknown_teacher_is_named_with_the_nearest_that_exists(teachers):
    message = consolidation(teachers="shuot@released,whisper@released")
    assert "unknown name 'shuot'; did you mean 'shout'?" in message
    assert "provost teacher list" in message


def test_an_unknown_version_is_named_with_those_that_exist(teachers):
    assert "teacher.shout has no version 9: it has [1]" in consolidation(teachers="shout@9")


def test_an_unknown_alias_is_named_with_those_that_exist(teachers):
    message = consolidation(teachers="shout@approved")
    assert "teacher.shout has no 'approved'" in message
    assert "('released', 1)" in message


@pytest.mark.parametrize("name", ["Bad/Name", "", "a b"])
def test_a_name_that_nothing_can_be_published_under_is_refused_first(teachers, name):
    assert f"name 'student.{name}' is refused" in consolidation("--publish-as", name)


@pytest.mark.parametrize("reference", ["shout@", "@released", ","])
def test_half_a_reference_is_refused_with_an_example(teachers, reference):
    message = consolidation(teachers=reference)
    assert "name@version" in message


def test_a_teacher_for_the_student_is_refused(teachers):
    message = consolidation("--student", "shout@released")
    assert "'shout@released' is teacher.shout@1, which is a release, but a checkpoint" in message


def test_a_checkpoint_for_a_teacher_is_refused(teachers):
    assert "fork-point@1, which is not a teacher" in consolidation(teachers="fork-point@released")


def test_a_checkpoint_for_a_teacher_is_named(teachers):
    assert "fork-point" in consolidation(teachers="shout@released,fork-point@released")


def test_a_release_without_a_part_is_refused_by_the_parts_name(teachers):
    store = open_store()
    body = json.loads(release_of("shout").model_dump_json())
    del body["evaluation"]
    register("teacher.shout", store.put_bytes(canonical_json(body)))
    message = consolidation(teachers="shout@2,whisper@1")
    assert "evaluation: Field required" in message


def test_a_release_with_a_part_missing_from_the_store_is_refused_by_the_parts_name(teachers):
    store, release = open_store(), release_of("shout")
    assert store.remove(release.evaluation.digest, 0)
    message = consolidation()
    assert f"part 'evaluation' is {release.evaluation.digest}" in message
    assert "not in the store" in message


@pytest.mark.medium
def test_teachers_of_different_fork_points_are_refused_by_name(teachers):
    other = make_fork_point(seed=1)
    climb(f"{PACKAGE}.whisper", fork_point="fork-point@2")
    message = consolidation(
        "--student", "fork-point@1", teachers="shout@1,whisper@2", recorded={"plan": 1, "launch": 1}
    )
    assert "these teachers cannot be merged as they are; nothing was trained" in message
    assert "teacher.whisper@2 [other-fork-point]" in message
    assert other.digest in message
    assert "re-train this teacher from the student's start, or leave it out" in message
    assert "teacher.shout@1 [other-fork-point]" not in message


def test_two_teachers_of_one_domain_are_refused(teachers):
    store = open_store()
    second = release_of("shout").model_copy(update={"team_version": "1.0.1"})
    register("teacher.shout", put_manifest(store, second))
    message = consolidation(teachers="shout@1,shout@2")
    assert "the domains ['shout'] have several teachers" in message


def test_one_teacher_named_twice_is_refused(teachers):
    assert "['shout'] have several teachers" in consolidation(teachers="shout@1,shout@released")


def test_a_recalled_teacher_is_refused_with_the_reason(teachers):
    said = provost(*RECALL, "--reason", "wrong answers", "--by", "team")
    assert "teacher.shout@1 is recalled" in said
    message = consolidation(recorded={"plan": 1, "launch": 1})
    assert "[recalled-input]" in message
    assert "teacher.shout@1 was recalled: wrong answers" in message
    assert "recalled" in provost("teacher", "list")


def test_a_recall_lists_the_students_that_descend_from_the_teacher(student):
    said = provost(*RECALL, "--reason", "wrong answers", "--by", "team")
    assert "descends from it: student.general@1" in said
    assert "owned by consolidation" in said


def test_a_flipped_byte_in_a_teacher_is_found_before_anything_is_trained(teachers):
    flip(release_of("shout").checkpoint.digest, "model.safetensors")
    assert "no longer has the digest" in consolidation_that_fails()


def consolidation_that_fails():
    """Return the refusal of a consolidation that has got as far as its plan."""
    before = Contents.now().records
    message = refusal(
        "run", "consolidation", "--mopd-steps", "2", "--teachers", "shout@released,whisper@released"
    )
    assert kinds(Contents.now().records - before) == {"plan": 1, "launch": 1}
    return message
