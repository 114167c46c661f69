"""A recall shows whom it concerns, asks first, and offers the way back."""

import shlex

import pytest
from click.testing import CliRunner

from lineage.artifacts import Artifact
from lineage.graph.graph import Lineage
from lineage.operations.recall import Pointing, consequences
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tests.support.making import take, write_record
from workflows.cli import main

NAME = "student.general"


def registered(store, name, made, kind="checkpoint"):
    artifact = Artifact(kind=kind, digest=made[1], record=made[0])
    return Registry(store).register(name, artifact, owner=f"owner of {name}")


@pytest.fixture
def store(tracked_home):
    """Two teachers; version 1 of the student is of code, 2 and 3 are of math too."""
    store = open_store()
    registry = Registry(store)
    math = write_record(store, b"math", kind="rl")
    code = write_record(store, b"code", kind="rl")
    for name, made in (("teacher.math", math), ("teacher.code", code)):
        registered(store, name, made)
        registry.point(name, "released", 1, by="team")
    for number, teachers in enumerate(((code,), (code, math), (code, math)), start=1):
        parts = [take("teacher", made) for made in teachers]
        student = write_record(store, f"student {number}".encode(), *parts, kind="mopd")
        registered(store, NAME, student)
        registry.point(NAME, "released", number, by="consolidation")
    return store


def recall(*more, answer=None):
    asked = ["teacher", "recall", "math@1", "--by", "ann", "--reason", "a leak; it's bad", *more]
    return CliRunner().invoke(main, asked, input=answer)


def status(store):
    return Registry(store).status("teacher.math", 1)


def test_what_a_recall_would_concern_is_found_without_recalling(store):
    found = consequences(store, Lineage(store), "math@1")
    assert [item.names for item in found.affected] == [(f"{NAME}@2",), (f"{NAME}@3",)]
    # the student was at 1 before, the only version without math; no other math is there
    assert found.pointing == (
        Pointing(NAME, "released", 3, 1),
        Pointing("teacher.math", "released", 1, None),
    )
    assert status(store) == "active"


@pytest.mark.parametrize("answer", ["n\n", "\n", "", None])
def test_a_recall_without_confirmation_changes_nothing(store, answer):
    result = recall(answer=answer)
    assert result.exit_code == 1
    assert status(store) == "active"
    assert f"{NAME}@released points at version 3" in result.output


@pytest.mark.parametrize(("more", "answer"), [((), "y\n"), (("--yes",), None)])
def test_what_is_confirmed_is_recalled(store, more, answer):
    result = recall(*more, answer=answer)
    assert result.exit_code == 0, result.output
    assert status(store) == "recalled"


def test_the_rollback_that_is_offered_works_as_printed(store):
    line = next(line for line in recall("--yes").output.splitlines() if "student rollback" in line)
    words = shlex.split(line.partition("provost ")[2])
    assert CliRunner().invoke(main, words).exit_code == 0
    assert Registry(store).aliases(NAME)["released"] == 1
    assert "a leak; it's bad" in Registry(store).moves(NAME)[-1].reason


def test_a_retired_version_is_not_offered_to_go_back_to(store):
    Registry(store).retire(NAME, 1, by="ann")
    found = consequences(store, Lineage(store), "math@1")
    assert found.pointing[0] == Pointing(NAME, "released", 3, None)
    assert "student rollback" not in recall("--yes").output
