"""A student that has learned nothing stays a candidate until a person promotes it."""

import pytest

from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tests.support.refusals import provost, refusal
from tests.support.tiny_faculty import ORDER, TEAMS, copy_home
from workflows.consolidation.workflow import consolidate

NAME = "student.general"


@pytest.fixture
def registry(home, home_with_candidate):
    """Return the registry of a home with a candidate."""
    copy_home(home_with_candidate, home)
    return Registry(open_store())


def test_it_stays_a_candidate_and_says_why_and_how_to_promote_it(registry, home):
    said = (home / "printed").read_text()
    assert registry.aliases(NAME) == {"candidate": 1}
    assert f"{NAME}@1 stays a candidate" in said
    for team in TEAMS:
        assert f"the gate's verdict on {team} is unknown" in said
    assert f"provost student promote {NAME}@1 --by" in said


def test_a_person_promotes_it_with_a_reason_once_and_a_rerun_changes_nothing(registry):
    promote = ("student", "promote", f"{NAME}@1", "--by", "ann")
    assert "needs a reason" in refusal(*promote, "--reason", " ")
    provost(*promote, "--reason", "tried by hand")
    assert registry.aliases(NAME) == {"candidate": 1, "released": 1}
    assert [(m.by, m.reason) for m in registry.moves(NAME) if m.alias == "released"] == [
        ("ann", "tried by hand")
    ]
    assert "already" in refusal(*promote, "--reason", "again")
    moves = registry.moves(NAME)
    consolidate(**ORDER)
    assert registry.moves(NAME) == moves


def test_what_descends_from_a_recalled_teacher_is_not_promoted(registry):
    registry.recall("teacher.shout", 1, by="team-shout", reason="leaked answers")
    told = refusal("student", "promote", f"{NAME}@1", "--by", "ann", "--reason", "good")
    assert "leaked answers" in told
    assert "released" not in registry.aliases(NAME)


@pytest.mark.usefixtures("registry")
def test_a_teacher_is_refused_as_student():
    told = refusal("student", "promote", "shout@1", "--by", "ann", "--reason", "good")
    assert "teacher.shout" in told
