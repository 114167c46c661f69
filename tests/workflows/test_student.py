"""``provost student``: what is listed, and a roll-back that is recorded and deletes nothing."""

import pytest
from click.testing import CliRunner

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tests.evaluate.test_compare import student
from tests.support.mirrors import MemoryMirror
from workflows.cli import main

NAME = "student.general"
WAIVER = "sha256:" + "b" * 64


@pytest.fixture
def registry():
    """Two versions of a student, of which the second was let through by a waiver."""
    store = open_store()
    registry = Registry(store)
    for manifest in (student(), student("teacher.math@2", waivers=(WAIVER,))):
        digest = store.put_bytes(canonical_json(manifest.model_dump(mode="json")))
        entry = registry.register(NAME, Artifact(kind="student", digest=digest), owner="team")
        registry.point(NAME, "released", entry.version, by="consolidation")
    digest = store.put_bytes(b"a base")
    registry.register("base", Artifact(kind="checkpoint", digest=digest), owner="foundation")
    return registry


def said(*arguments, code=0):
    result = CliRunner().invoke(main, ["student", *arguments], obj=MemoryMirror())
    assert result.exit_code == code, result.output
    return result.output


def back(reference, code=0):
    return said("rollback", reference, "--by", "ana", "--reason", "2 is worse", code=code)


def test_the_list_shows_names_whole_with_teachers_and_waivers(registry):
    head, one, two = said("list").splitlines()
    assert head.split() == ["student", "aliases", "teachers", "waivers", "published", "status"]
    assert one.split()[:2] == [f"{NAME}@1", "math@1"]
    assert two.split()[:4] == [f"{NAME}@2", "released", "math@2", "1"]


def test_a_roll_back_moves_the_alias_is_recorded_and_deletes_nothing(registry):
    assert back(f"{NAME}@1") == f"{NAME}@released is version 1; it was 2\n"
    assert registry.resolve(f"{NAME}@released").version == 1
    assert [entry.version for entry in registry.versions(NAME)] == [1, 2]
    *_, last = said("moves").splitlines()
    assert last.endswith("released -> 1  by ana: 2 is worse")


@pytest.mark.parametrize(
    ("reference", "refusal"),
    [
        (f"{NAME}@2", f"{NAME}@released is version 2 already"),
        (f"{NAME}@9", "has no version 9"),
        ("base@1", "'base@1' is base, not a student"),
    ],
)
def test_a_roll_back_that_cannot_be_moves_nothing(registry, reference, refusal):
    assert refusal in back(reference, code=1)
    assert [move.version for move in registry.moves(NAME)] == [1, 2]


def test_a_student_that_was_recalled_is_not_rolled_back_to(registry):
    registry.recall(NAME, 1, by="team", reason="a recalled teacher")
    assert "recalled" in back(f"{NAME}@1", code=1)
    assert registry.resolve(f"{NAME}@released").version == 2


def test_moves_of_an_unknown_name_are_refused(registry):
    assert f"there are: ['{NAME}']" in said("moves", "student.nope", code=1)


def test_an_empty_store_says_what_makes_a_student():
    assert "`provost run consolidation`" in said("list", code=1)
