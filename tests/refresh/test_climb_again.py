"""What a repeated climb is ordered with, and which teachers cannot climb again here."""

import pytest

from lineage.artifacts import Artifact
from lineage.digest import digest_bytes
from lineage.dsse import SigningKey
from lineage.errors import NotEntitledError
from lineage.registry.registry import Registry
from lineage.trust.chain import publish
from lineage.trust.root import Team, TrustedKey, TrustRoot
from tasks.platform.step_runner import StepRunner
from tasks.refresh.climb_again import check_refresh, next_teachers
from tasks.refresh.task import next_round
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.runs import Climbed, Maker

SINCE = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def make(home):
    return Maker(StepRunner(mirror=MemoryMirror()))


def released(name):
    return Artifact(kind="release", digest=digest_bytes(name.encode()))


def test_the_next_teachers_keep_shares_and_modes_and_the_student_stays_its_own():
    math, code = released("math"), released("code")
    first = ["math@1#think=0.7", "form@2=self", "code@released"]
    assert next_teachers(first, [math, code]) == [
        f"{math.digest}#think=0.7",
        "form@2=self",
        code.digest,
    ]


def test_the_next_round_starts_from_the_student():
    student = Artifact(kind="student", digest=digest_bytes(b"student"))
    made = next_round(teachers=["math@1"], releases=[released("math")], student=student)
    assert (made.student, made.teachers) == (student.digest, [released("math").digest])


def test_a_climb_with_settings_of_its_own_is_refused_before_any_round(make):
    """Such as one by another trainer: its record holds no settings of ours."""
    Climbed(make, make.checkpoint(0), "math").release()
    with refused("no-climb", "math@1", "--fork-point"):
        check_refresh(make.runner, ["math@1"])


def test_another_artifact_than_a_release_is_refused(make):
    Registry(make.runner.store).register("fork-point", make.checkpoint(0), owner="foundation")
    with refused("no-climb", "fork-point@1"):
        check_refresh(make.runner, ["fork-point@1"])


def test_a_teacher_that_is_the_student_itself_needs_no_climb(make):
    Climbed(make, make.checkpoint(0), "math").release()
    assert check_refresh(make.runner, ["math@1=self"]) == ["math@1=self"]


def test_who_may_not_release_a_teacher_is_refused_before_any_round(make):
    """On a store where each team has its own key, the teams climb themselves."""
    math, ours, maintainer = (SigningKey.generate() for _ in range(3))
    teams = {
        name: Team(names=names, keys=(TrustedKey(public=key.public, since=SINCE),))
        for name, names, key in (
            ("team-math", ("teacher.math",), math),
            ("consolidation", ("student.*",), ours),
        )
    }
    store = make.runner.store
    publish(store, TrustRoot(maintainers=(maintainer.public,), teams=teams), maintainer)
    store.signing_key = math
    Climbed(make, make.checkpoint(0), "math").release()
    store.signing_key = ours
    with pytest.raises(NotEntitledError):
        check_refresh(make.runner, ["math@1"])
