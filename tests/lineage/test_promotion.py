"""A version goes from one store to another by its owners, who say anew what they said."""

import pytest

from lineage.artifacts import Artifact
from lineage.errors import NotEntitledError, RecalledError
from lineage.operations.promotion import promote
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.registry.registry import Registry
from tests.support.making import checkpoint, take, write_record
from tests.support.teams import Shared


class Two:
    """Development, with a fork point and a teacher that climbed from it, and production."""

    def __init__(self, folder):
        self.development = Shared(folder / "development")
        self.production = Shared(folder / "production")
        store = self.development.foundation
        tree = store.put_tree(checkpoint(folder / "fork", b"fork"))
        self.fork = write_record(store, b"", output=tree)
        self.register(store, "fork-point", self.fork)
        store = self.development.math
        named = store.put_bytes(b"rows")
        start = take("start", self.fork)
        report = f'{{"rows": "{named}"}}'.encode()
        self.named = named
        self.teacher = write_record(
            store, report, start, kind="release", metrics=[(1, "kl", 2, "")]
        )
        self.register(store, "teacher.math", self.teacher)

    def register(self, store, name, made):
        artifact = Artifact(kind="checkpoint", digest=made[1], record=made[0])
        Registry(store).register(name, artifact, owner=name, note="tried")

    def promote(self, team, reference):
        return promote(self.development.of(team), self.production.of(team), reference)


@pytest.fixture
def two(tmp_path):
    return Two(tmp_path)


def test_each_owner_promotes_what_he_made_and_all_of_it_arrives(two):
    two.promote("foundation", "fork-point@1")
    entry = two.promote("math-team", "math@1")
    assert (entry.version, entry.digest, entry.record) == (1, two.teacher[1], two.teacher[0])
    assert (entry.owner, entry.note) == ("teacher.math", "tried")
    there = two.production.consolidation
    verified = Verifier(there, require_signed=True).verify(entry.record)
    assert verified.problems == []
    assert [(item.state, item.team) for item in verified.signatures] == [
        ("signed", "foundation"),
        ("signed", "math-team"),
    ]
    assert there.get_bytes(two.named) == b"rows"  # which the document names
    said = Records(there).output(entry.record)
    assert said == Records(two.development.math).output(entry.record)


def test_a_second_time_changes_nothing(two):
    two.promote("foundation", "fork-point@1")
    first = two.promote("math-team", "math@1")
    before = two.production.math.keys("")
    assert two.promote("math-team", "math@1") == first
    assert two.production.math.keys("") == before


def test_what_others_made_must_be_there_already(two):
    with pytest.raises(NotEntitledError):
        two.promote("math-team", "math@1")
    assert Registry(two.production.math).names() == []


def test_a_team_cannot_promote_anothers_name(two):
    two.promote("foundation", "fork-point@1")
    for team in ("code-team", "consolidation"):
        with pytest.raises(NotEntitledError):
            two.promote(team, "math@1")
    assert Registry(two.production.math).names() == ["fork-point"]


def test_a_recalled_version_stays_where_it_is(two):
    Registry(two.development.math).recall("teacher.math", 1, by="lead", reason="leak")
    with pytest.raises(RecalledError):
        two.promote("math-team", "math@1")
