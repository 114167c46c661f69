"""A list reads only what is new, and never shows what a reading of everything would not show."""

import os
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest

from lineage.operations.adoption import endorse
from lineage.registry.known import KnownNames, known_names
from lineage.registry.registry import Registry
from lineage.registry.survey import survey
from lineage.store.store import FolderStore
from lineage.trust.kept import Kept, kept_of
from tests.lineage.test_entitlement import register
from tests.lineage.test_unchanged import spoil
from tests.support.making import TIME, write_record
from tests.support.teams import NEW_KEYS, Shared, root

SECRET = b"of this user"
SLOTS = "keys/projects/math-team/registry/teacher.math"


class Watched(FolderStore):
    """A store that notes which slots of the registry are read."""

    def read_key(self, key):
        if "/registry/" in key:
            self.read.add(key.partition("/registry/")[2])
        return super().read_key(key)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two teams with three versions."""
    shared = Shared(tmp_path_factory.mktemp("known") / "shared")
    registry = Registry(shared.math)
    for number in (1, 2):
        register(shared.math, "teacher.math", write_record(shared.math, b"math %d" % number))
        registry.point("teacher.math", "released", number, by="ann")
    register(shared.code, "teacher.code", write_record(shared.code, b"code"))
    return shared


@pytest.fixture
def shared(made, tmp_path):
    return made.copied(tmp_path / "shared")


@pytest.fixture
def listed(shared, tmp_path):
    """Return a function that lists as one command does, and says what it has read."""

    def run(*, secret=SECRET, seconds_later=10.0):
        store = Watched(shared.folder)
        store.read = set()
        kept = Kept(tmp_path / "kept.db", secret, clock=lambda: time.time() + seconds_later)
        known = KnownNames(store, kept)
        found = survey(store, known=known)
        known.save()
        kept.save()
        assert found == survey(FolderStore(shared.folder)), "it is what reading everything gives"
        return found, store.read

    return run


def statuses(found):
    return {f"{name}@{version}": status for (name, version), status in found.statuses.items()}


def test_a_second_list_reads_no_statement(listed):
    first, read = listed()
    assert read == {
        "teacher.code/versions/00000001",
        *(f"teacher.math/{part}/0000000{n}" for part in ("versions", "aliases") for n in (1, 2)),
    }
    assert statuses(first) == dict.fromkeys(
        ["teacher.code@1", "teacher.math@1", "teacher.math@2"], "active"
    )
    second, read = listed()
    assert (second, read) == (first, set())
    assert second.aliases["teacher.math"] == {"released": 2}


def test_a_recall_that_arrives_later_is_shown_and_nothing_else_is_read(listed, shared):
    listed()
    Registry(shared.math).recall("teacher.math", 1, by="ann", reason="leak")
    found, read = listed()
    assert statuses(found)["teacher.math@1"] == "recalled"
    assert read == {"teacher.math/events/00000001"}
    assert listed() == (found, set())


def test_a_new_version_is_shown_and_nothing_else_is_read(listed, shared):
    listed()
    register(shared.math, "teacher.math", write_record(shared.math, b"math 3"))
    Registry(shared.math).point("teacher.math", "released", 3, by="ann")
    found, read = listed()
    assert [entry.version for entry in found.entries if entry.name == "teacher.math"] == [1, 2, 3]
    assert found.aliases["teacher.math"] == {"released": 3}
    assert read == {f"teacher.math/{part}/00000003" for part in ("versions", "aliases")}


def test_everything_is_read_again_under_another_trust_root(listed, shared):
    _, all_of_it = listed()
    shared.publish(root(foundation={"until": "2027-01-01T00:00:00+00:00"}))
    assert listed()[1] == all_of_it
    assert listed()[1] == set()


def test_what_a_revoked_key_signed_is_not_shown_until_it_is_endorsed(listed, shared):
    before, _ = listed()
    shared.publish(root(math_team={"revoked": TIME}))
    found, _ = listed()
    assert {entry.name for entry in found.entries} == {"teacher.code"}
    assert len(found.problems) == 2
    endorse(shared.of("math-team", NEW_KEYS["math-team"]), "looked at")
    assert listed()[0].entries == before.entries
    assert listed()[1] == set()
    for slot in (shared.folder / "keys/projects/math-team/endorsements").iterdir():
        slot.unlink()
    assert {entry.name for entry in listed()[0].entries} == {"teacher.code"}


def test_a_key_that_ends_between_two_lists_counts_no_longer(listed, shared):
    end = datetime.now(UTC) + timedelta(seconds=1)
    shared.publish(root(math_team={"until": end.isoformat()}))
    assert len(listed()[0].entries) == 3
    assert listed()[1] == set()
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()))
    assert {entry.name for entry in listed()[0].entries} == {"teacher.code"}


def exchange(path):
    """Put the bytes of another slot of the same length into a slot, with its old time."""
    before = path.stat()
    other = path.with_name("00000002").read_bytes()
    path.chmod(0o644)
    path.write_bytes(other)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("part", ["versions", "aliases"])
@pytest.mark.parametrize("harm", [spoil, exchange, lambda path: path.unlink()])
def test_a_slot_that_was_altered_is_reported(listed, shared, part, harm):
    listed()
    harm(shared.folder / SLOTS / part / "00000001")
    found, _ = listed()
    versions = [entry.version for entry in found.entries if entry.name == "teacher.math"]
    assert versions == ([2] if part == "versions" else [1, 2])
    told = [problem.partition(":")[0] for problem in found.problems]
    gone = part == "versions" and not (shared.folder / SLOTS / part / "00000001").exists()
    wanted = {"versions": "teacher.math@1", "aliases": "aliases of teacher.math"}[part]
    assert told == ([] if gone else [wanted])
    assert listed()[0] == found


def test_a_slot_behind_a_link_is_followed_to_its_bytes(listed, shared, tmp_path):
    slot = shared.folder / SLOTS / "versions/00000001"
    behind = tmp_path / "elsewhere"
    slot.rename(behind)
    slot.symlink_to(behind)
    assert listed()[1]
    assert listed()[1] == set()
    spoil(behind)
    assert len(listed()[0].problems) == 1


def test_a_slot_written_a_moment_ago_is_read_again(listed):
    _, read = listed(seconds_later=0.0)
    assert listed(seconds_later=0.0)[1] == read


@pytest.mark.parametrize("harm", ["deleted", "garbage", "cut off", "no table"])
def test_a_lost_or_broken_file_costs_time_alone(listed, tmp_path, harm):
    first, all_of_it = listed()
    path = tmp_path / "kept.db"
    if harm == "cut off":
        path.write_bytes(path.read_bytes()[:5000])
    elif harm == "garbage":
        path.write_bytes(b"no database" * 1000)
    else:
        path.unlink()
        if harm == "no table":
            sqlite3.connect(path).close()
    assert listed() == (first, all_of_it)
    assert listed() == (first, set())


def test_a_place_that_cannot_be_written_costs_time_alone(listed, tmp_path):
    (tmp_path / "kept.db").mkdir()
    assert listed() == listed()


@pytest.mark.parametrize("forge", ["another user", "changed", "under another name", "no seal"])
def test_what_another_party_kept_is_not_believed(listed, shared, tmp_path, forge):
    first, _ = listed()
    Registry(shared.math).recall("teacher.math", 1, by="ann", reason="leak")
    listed(secret=b"of another user" if forge == "another user" else SECRET)
    with sqlite3.connect(tmp_path / "kept.db") as rows:
        if forge == "changed":
            was, forged = '"recalled"', '"active"'
            rows.execute("UPDATE kept SET document = replace(document, ?, ?)", (was, forged))
        elif forge == "under another name":
            query = "SELECT document, seal FROM kept WHERE name LIKE 'found under teacher.code%'"
            row = rows.execute(query).fetchone()
            where = "WHERE name LIKE 'found under teacher.math%'"
            rows.execute(f"UPDATE kept SET document = ?, seal = ? {where}", row)
        elif forge == "no seal":
            rows.execute("UPDATE kept SET seal = NULL")
    found, read = listed()
    assert (statuses(first) | {"teacher.math@1": "recalled"}) == statuses(found)
    assert bool(read) is (forge in {"another user", "no seal"})


def test_without_a_key_nothing_is_kept_and_no_key_is_made(listed, shared, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "home"))
    store = FolderStore(shared.folder)
    with known_names(store) as known:
        assert len(survey(store, known=known).entries) == 3
    assert not (tmp_path / "settings").exists()
    assert not (tmp_path / "home").exists()


def test_a_document_is_not_believed_under_another_name(tmp_path):
    kept = Kept(tmp_path / "kept.db", SECRET)
    kept.put("one", 1)
    kept.put("two", 2)
    kept.save()
    assert [kept.find("one"), kept.find("two"), kept.find("three")] == [1, 2, None]
    kept.save()
    with sqlite3.connect(tmp_path / "kept.db") as rows:
        rows.execute("DELETE FROM kept WHERE name = 'two'")
        rows.execute("UPDATE kept SET name = 'two'")
    assert [kept.find("one"), kept.find("two")] == [None, None]


def test_what_is_kept_counts_for_one_key_and_one_store(shared, monkeypatch, tmp_path):
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "home"))
    other = FolderStore(tmp_path / "other", signing_key=shared.math.signing_key)
    for store, value in ((shared.math, 1), (other, 2)):
        with kept_of(store) as kept:
            kept.put("name", value)

    def found(store):
        with kept_of(store) as kept:
            return kept.find("name")

    assert [found(shared.math), found(other), found(shared.code)] == [1, 2, None]
    files = sorted((tmp_path / "home/index").iterdir())
    assert len(files) == 2
    for file, content in zip(files, [file.read_bytes() for file in reversed(files)], strict=True):
        file.write_bytes(content)
    assert [found(shared.math), found(other)] == [None, None]
