"""The registry: versions are claimed once, nothing is edited, references resolve or say why not."""

import multiprocessing

import pytest

from lineage.artifacts import Artifact
from lineage.errors import (
    CorruptError,
    LineageError,
    NotEntitledError,
    RecalledError,
    UnknownReferenceError,
)
from lineage.registry.registry import Event, Registry
from lineage.registry.valid_recalls import Used
from lineage.store.documents import seal, to_json
from lineage.store.store import open_store
from tests.support.making import MINE
from tests.support.refused import raised


def artifact(store, content: str) -> Artifact:
    return Artifact(kind="release", digest=store.put_bytes(content.encode()))


@pytest.fixture
def registry(store) -> Registry:
    registry = Registry(store, clock=lambda: "2026-11-21T00:00:00.000+00:00")
    for name in ("teacher.math", "teacher.code", "student.general", "fork-point"):
        for version in (1, 2):
            registry.register(name, artifact(store, f"{name} {version}"), owner="team")
    return registry


def test_versions_count_up_and_the_same_content_is_the_same_version(registry, store):
    assert [entry.version for entry in registry.versions("teacher.math")] == [1, 2]
    assert registry.register("teacher.math", artifact(store, "new"), owner="team").version == 3
    again = registry.register("teacher.math", artifact(store, "teacher.math 1"), owner="other")
    assert (again.version, again.owner) == (1, "team")


@pytest.mark.parametrize(
    ("reference", "name", "version"),
    [
        ("teacher.math@2", "teacher.math", 2),
        ("math@1", "teacher.math", 1),
        ("math@released", "teacher.math", 1),
        ("math", "teacher.math", 1),
        ("math@latest", "teacher.math", 2),
        ("student@2", "student.general", 2),
        ("fork-point@1", "fork-point", 1),
    ],
)
def test_references_resolve(registry, reference, name, version):
    registry.point("teacher.math", "released", 1, by="lead")
    entry = registry.resolve(reference)
    assert (entry.name, entry.version) == (name, version)


def test_a_digest_resolves_to_what_is_registered_under_it(registry, store):
    entry = registry.resolve(artifact(store, "teacher.code 2").digest)
    assert (entry.name, entry.version) == ("teacher.code", 2)
    with raised(UnknownReferenceError, "not-registered"):
        registry.resolve(store.put_bytes(b"unknown"))


def test_an_unknown_teacher_is_answered_with_what_exists(registry):
    for reference, *names in (
        ("maths@released", "'maths'", "'math'", "code, fork-point, math, student.general"),
        ("teacher.maths@1", "'maths'", "'math'"),
        ("student.chat", "'student.chat'"),
        ("sudent@released", "'sudent'", "'student'"),
        ("student.genral@1", "'student.genral'", "'student.general'"),
        ("student.general@9", "`provost student list`"),
        ("sha256:00", "sha256:00"),
    ):
        with pytest.raises(UnknownReferenceError) as caught:
            registry.resolve(reference)
        assert [name for name in names if name not in str(caught.value)] == []
    with raised(UnknownReferenceError, "no-version", "9", "[1, 2]"):
        registry.resolve("math@9")
    with raised(UnknownReferenceError, "no-alias", "'released'"):
        registry.resolve("math")
    with raised(LineageError, "incomplete-reference", "name@version"):
        registry.resolve("math@")


def test_alias_moves_are_kept_and_the_last_one_counts(registry):
    for version in (1, 2, 2, 1):
        registry.point("teacher.math", "released", version, by="lead", reason="because")
    assert registry.aliases("teacher.math") == {"released": 1}
    assert [move.version for move in registry.moves("teacher.math")] == [1, 2, 1]


@pytest.mark.parametrize("alias", ["latest", "7", "Released", "", "a b"])
def test_an_alias_that_would_read_as_something_else_is_refused(registry, alias):
    with raised(LineageError, "bad-alias", repr(alias)):
        registry.point("teacher.math", alias, 1, by="lead")


def test_a_recalled_version_is_refused_unless_the_caller_allows_it(registry):
    registry.point("teacher.math", "released", 1, by="lead")
    registry.recall("teacher.math", 1, by="lead", reason="leaked evaluation data")
    for reference in ("math@1", "math@released", registry.versions("teacher.math")[0].digest):
        with pytest.raises(RecalledError, match="leaked evaluation data"):
            registry.resolve(reference)
        assert registry.resolve(reference, allow_recalled=True).version == 1
    assert registry.resolve("math@latest").version == 2
    with raised(LineageError, "not-active", "recalled"):
        registry.point("teacher.math", "candidate", 1, by="lead")


def test_recalled_content_cannot_come_back_under_another_name(registry, store):
    registry.register("teacher.sums", artifact(store, "teacher.math 1"), owner="other")
    registry.recall("teacher.math", 1, by="lead", reason="bad")
    with pytest.raises(RecalledError):
        registry.resolve("sums@1")
    with pytest.raises(RecalledError):
        registry.register("teacher.more", artifact(store, "teacher.math 1"), owner="other")


def test_a_recall_without_a_reason_is_refused(registry):
    with raised(LineageError, "no-reason"):
        registry.recall("teacher.math", 1, by="lead", reason="")


def test_a_retired_version_resolves_by_number_only(registry):
    registry.point("teacher.math", "released", 2, by="lead")
    registry.retire("teacher.math", 2, by="lead")
    assert registry.resolve("math@2").version == 2
    assert registry.resolve("math@latest").version == 1
    with raised(UnknownReferenceError, "retired"):
        registry.resolve("math@released")


def test_what_is_not_in_the_store_cannot_be_registered(registry):
    absent = Artifact(kind="release", digest="sha256:" + "0" * 64)
    with raised(LineageError, "missing-artifact"):
        registry.register("teacher.math", absent, owner="team")
    with raised(LineageError, "no-owner"):
        registry.register("teacher.math", absent, owner="")
    with raised(LineageError, "bad-name", "teacher/../x"):
        registry.register("teacher/../x", absent, owner="team")


def test_a_flipped_byte_in_an_entry_is_found(registry, store):
    path = store._keys / f"{MINE}/registry/teacher.math/versions/00000001"
    path.chmod(0o644)
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises((CorruptError, NotEntitledError), match="versions/00000001"):
        registry.resolve("math@1")


def test_a_deleted_entry_is_not_taken_for_one_that_never_was(registry, store):
    (store._keys / f"{MINE}/registry/teacher.math/versions/00000001").unlink()
    with pytest.raises(CorruptError):
        registry.versions("teacher.math")


def release_four(uri: str, writer: int, gate) -> None:
    store = open_store(uri)
    gate.wait()
    for number in range(4):
        entry = artifact(store, f"{writer} {number}")
        Registry(store).register("teacher.math", entry, owner=f"team-{writer}")


@pytest.mark.medium
def test_eight_writers_at_once_never_collide_and_lose_nothing(store):
    context = multiprocessing.get_context("fork")  # which imports nothing a second time
    gate = context.Barrier(8)
    writers = [context.Process(target=release_four, args=(store.uri, n, gate)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    entries = Registry(store).versions("teacher.math")
    assert [entry.version for entry in entries] == list(range(1, 33))
    assert len({entry.digest for entry in entries}) == 32
    assert {entry.owner for entry in entries} == {f"team-{n}" for n in range(8)}


def event_of_version_99(store):
    event = Event(action="recall", version=99, by="x", reason="y", at="2026-11-21T00:00:00+00:00")
    return seal(to_json(event))


BAD_SLOTS = {
    "garbage": ("00000001", lambda store: b"garbage"),
    "an event of a version that does not exist": ("00000001", event_of_version_99),
    "a slot far away": ("99999999", event_of_version_99),
}
STRAY_FILES = ("abc", "00000001~", "note.txt", "1")


@pytest.mark.parametrize("part", ["events", "versions"])
@pytest.mark.parametrize("case", sorted(BAD_SLOTS))
def test_a_bad_slot_of_one_name_stops_no_other_name(registry, store, case, part, caplog):
    slot, make = BAD_SLOTS[case]
    digest = artifact(store, "teacher.math 1").digest
    store.claim(f"{MINE}/registry/another.name/{part}/{slot}", make(store))
    assert registry.resolve("math@1").digest == digest
    assert registry.resolve(digest).name == "teacher.math"
    assert registry.register("teacher.math", artifact(store, "new"), owner="team").version == 3
    registry.recall("teacher.math", 1, by="team", reason="leak")
    with pytest.raises(RecalledError):
        registry.resolve("math@1")
    assert "another.name" in caplog.text


@pytest.mark.parametrize("also_its_versions", [False, True])
@pytest.mark.parametrize("case", sorted(BAD_SLOTS))
def test_what_a_name_with_unreadable_recalls_holds_is_refused(
    registry, store, case, also_its_versions
):
    slot, make = BAD_SLOTS[case]
    store.claim(f"{MINE}/registry/teacher.math/events/{slot}", make(store))
    if also_its_versions:
        store.claim(f"{MINE}/registry/teacher.math/versions/00000003", b"garbage")
    content = artifact(store, "teacher.math 1")
    for ask in (
        lambda: registry.resolve("math@1"),
        lambda: registry.resolve(content.digest),
        lambda: registry.refuse_recalled(
            [Used(content.digest, "", "teacher.math")]
        ),  # what gate and warm-up ask
        lambda: registry.register("teacher.code", content, owner="team"),
    ):
        with pytest.raises(LineageError):
            ask()
    assert registry.resolve("code@1").version == 1


@pytest.mark.parametrize("name", STRAY_FILES)
@pytest.mark.parametrize("part", ["versions", "events", "aliases"])
def test_a_stray_file_beside_the_slots_is_passed_over(registry, store, name, part):
    store.claim(f"{MINE}/registry/teacher.math/{part}/{name.replace('~', '_')}", b"not a slot")
    assert registry.resolve("math@2").version == 2
    assert registry.register("teacher.math", artifact(store, "new"), owner="team").version == 3
    registry.point("teacher.math", "released", 3, by="lead")
    assert registry.resolve("math").version == 3
