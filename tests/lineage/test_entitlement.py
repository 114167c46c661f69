"""A team's statements count for its own records and names, and for nothing else."""

import pytest

from lineage.artifacts import Artifact
from lineage.errors import (
    AmbiguousReferenceError,
    CorruptError,
    LineageError,
    NotEntitledError,
    NoTrustRootError,
    RecalledError,
    UnknownReferenceError,
)
from lineage.operations.verify import Verifier
from lineage.records.record import Attestation, Records
from lineage.registry.registry import Registry, check_may_publish
from lineage.registry.slots import Entry
from lineage.registry.valid_recalls import Used, recalls_of
from lineage.store.store import FolderStore
from lineage.trust.journal import Journal
from lineage.trust.statement import StatementPlace, make_statement
from tests.support.making import TIME, take, write_record
from tests.support.teams import KEYS, Shared


@pytest.fixture
def shared(tmp_path):
    return Shared(tmp_path / "shared")


def register(store, name, made, kind="release"):
    artifact = Artifact(kind=kind, digest=made[1], record=made[0])
    return Registry(store).register(name, artifact, owner="whoever")


def forge(store, team, place, body, *, project, previous=""):
    """Write a statement into a project's place, signed with the key of ``team``."""
    trust = Journal(store).trust
    path, number = place.rpartition("/")[::2]
    where = StatementPlace(
        store=trust.store,
        project=project,
        path=path,
        number=int(number),
        previous=previous,
        at=TIME,
    )
    assert store.claim(where.key, make_statement(body, where, KEYS[team]))


def test_a_record_belongs_to_the_project_that_made_it(shared):
    ours, output = write_record(shared.math, b"weights")
    theirs, same = write_record(shared.code, b"weights")
    assert output == same
    assert ours != theirs
    assert {Records(shared.math).read(made).project for made in (ours, theirs)} == {
        "math-team",
        "code-team",
    }


def test_a_team_cannot_attest_another_projects_record(shared):
    record, output = write_record(shared.math, b"weights")
    evil, place = shared.code.put_bytes(b"evil"), f"attestations/{record[7:]}"
    body = Attestation(derivation=record, output=evil, output_kind="checkpoint", finished=TIME)
    with pytest.raises(NotEntitledError):
        Records(shared.code).write(Records(shared.code).read(record), body)
    # What the policy forbids, done all the same: into the own prefix, where nobody looks ...
    forge(shared.code, "code-team", f"{place}/00000001", body, project="code-team")
    assert Records(shared.math).finished(record).output == output
    # ... and into the owner's, where it stops the owner instead of being believed.
    forge(shared.code, "code-team", f"{place}/00000002", body, project="math-team")
    with pytest.raises(NotEntitledError):
        Records(shared.math).finished(record)


def test_work_that_was_never_done_is_not_found_done(shared):
    derivation = Records(shared.math).read(write_record(shared.math, b"a")[0])
    derivation = derivation.model_copy(update={"seed": 1})
    record = derivation.digest()
    evil, place = shared.code.put_bytes(b"evil"), f"attestations/{record[7:]}"
    shared.code.put_bytes(derivation.to_bytes())  # anybody can foretell a derivation
    body = Attestation(derivation=record, output=evil, output_kind="checkpoint", finished=TIME)
    forge(shared.code, "code-team", f"{place}/00000001", body, project="code-team")
    assert Records(shared.math).finished(record) is None


def test_a_team_registers_its_own_names_only(shared):
    made = write_record(shared.code, b"evil")
    for name in ("teacher.math", "student.general", "teacher.unlisted", "math"):
        with pytest.raises(NotEntitledError):
            register(shared.code, name, made)
        with pytest.raises(NotEntitledError):
            check_may_publish(shared.code, name)
    assert register(shared.code, "teacher.code-two", made).version == 1


def test_a_name_is_read_from_its_owners_project_alone(shared):
    good = register(shared.math, "teacher.math", write_record(shared.math, b"good"))
    evil = write_record(shared.code, b"evil")
    entry = good.model_copy(update={"version": 2, "digest": evil[1], "record": evil[0]})
    slot = "registry/teacher.math/versions/00000002"
    forge(shared.code, "code-team", slot, entry, project="code-team")
    registry = Registry(shared.consolidation)
    assert registry.versions("teacher.math") == [good]
    slot_of_nobody = slot.replace("teacher.math", "teacher.unlisted")
    forge(shared.code, "code-team", slot_of_nobody, entry, project="code-team")
    assert registry.names() == ["teacher.math"]
    previous = Journal(shared.math).slots("math-team", slot[:-9], Entry).all()[0].digest
    forge(shared.code, "code-team", slot, entry, project="math-team", previous=previous)
    with pytest.raises(NotEntitledError):
        registry.resolve("teacher.math@2")
    assert registry.resolve("teacher.math@1") == good


def test_a_team_cannot_move_recall_or_retire_anothers_version(shared):
    register(shared.math, "teacher.math", write_record(shared.math, b"good"))
    theirs = Registry(shared.code)
    for act in (
        lambda: theirs.point("teacher.math", "released", 1, by="code"),
        lambda: theirs.recall("teacher.math", 1, by="code", reason="spite"),
        lambda: theirs.retire("teacher.math", 1, by="code"),
    ):
        with pytest.raises(NotEntitledError):
            act()
    assert Registry(shared.math).status("teacher.math", 1) == "active"


def test_a_recall_under_a_name_of_ones_own_withdraws_nothing_that_others_made(shared):
    fork = write_record(shared.foundation, b"fork")
    register(shared.foundation, "fork-point", fork, "checkpoint")
    climb = write_record(shared.math, b"math", take("start", fork), kind="rl")
    register(shared.math, "teacher.math", climb)
    copy = write_record(shared.code, b"math", take("start", climb), kind="copy")
    for number, made in enumerate((fork, climb, (copy[0], climb[1])), start=1):
        register(shared.code, f"teacher.code-{number}", made)
    for number in (1, 2, 3):
        Registry(shared.code).recall(f"teacher.code-{number}", 1, by="code", reason="spite")
    registry = Registry(shared.consolidation)
    assert registry.resolve("teacher.math@1").digest == climb[1]
    assert registry.resolve("fork-point@1").digest == fork[1]
    assert not recalls_of(registry, [Used(fork[1], fork[0]), Used(climb[1], climb[0])])
    with pytest.raises(RecalledError):
        registry.resolve("teacher.code-1@1")


def test_the_makers_recall_follows_what_he_made_under_every_name(shared):
    climb = write_record(shared.math, b"math", kind="rl")
    register(shared.math, "teacher.math", climb)
    register(shared.code, "teacher.code-again", climb)
    register(shared.code, "teacher.code-raw", ("", climb[1]))
    Registry(shared.math).recall("teacher.math", 1, by="math", reason="leak")
    registry = Registry(shared.consolidation)
    for reference in ("teacher.math@1", "teacher.code-again@1", "teacher.code-raw@1", climb[1]):
        with pytest.raises(RecalledError):
            registry.resolve(reference)


@pytest.mark.parametrize("record", ["theirs", "none", "a damaged one of one's own"])
def test_junk_beside_a_copy_of_anothers_version_withdraws_nothing_of_it(shared, record):
    climb = write_record(shared.math, b"math", kind="rl")
    register(shared.math, "teacher.math", climb)
    own = write_record(shared.code, b"math", kind="copy")
    named = {"theirs": climb[0], "none": "", "a damaged one of one's own": own[0]}[record]
    register(shared.code, "teacher.code", (named, climb[1]))
    junk = [f"registry/teacher.code/events/{1:08d}", f"attestations/{own[0][7:]}/{2:08d}"]
    if record == "a damaged one of one's own":
        Registry(shared.code).recall("teacher.code", 1, by="code", reason="spite")
    for key in junk if record != "a damaged one of one's own" else junk[1:]:
        shared.put_raw("code-team", f"keys/projects/code-team/{key}", b"junk", replace=False)
    registry = Registry(shared.consolidation)
    assert registry.resolve("teacher.math@1").digest == climb[1]
    registry.refuse_recalled([Used(climb[1], climb[0]), Used(climb[1])])
    again = write_record(shared.math, b"more", take("start", climb))
    assert register(shared.math, "teacher.math", again).version == 2
    with pytest.raises(LineageError):
        registry.resolve("teacher.code@1")


def test_unreadable_recalls_of_the_maker_refuse_what_he_made_under_every_name(shared):
    climb = write_record(shared.math, b"math", kind="rl")
    register(shared.math, "teacher.math", climb)
    register(shared.code, "teacher.code", climb)
    key = f"keys/projects/math-team/registry/teacher.math/events/{1:08d}"
    shared.put_raw("math-team", key, b"junk", replace=False)
    registry = Registry(shared.consolidation)
    for used in (Used(climb[1], climb[0]), Used(climb[1])):
        with pytest.raises(LineageError):
            registry.refuse_recalled([used])
    with pytest.raises(LineageError):
        registry.resolve("teacher.code@1")


@pytest.mark.parametrize("field", [{"created": "whenever"}, {"created": TIME[:19]}, {"version": 7}])
def test_an_entry_of_no_form_under_ones_own_name_stops_no_verification(shared, field):
    climb = write_record(shared.math, b"math", kind="rl")
    register(shared.math, "teacher.math", climb)
    entry = Registry(shared.math).entry("teacher.math", 1)
    bad = entry.model_copy(update={"name": "teacher.code"} | field)
    slot = "registry/teacher.code/versions/00000001"
    forge(shared.code, "code-team", slot, bad, project="code-team")
    verified = Verifier(shared.consolidation).verify(climb[0])
    assert verified.passed
    assert Registry(shared.consolidation).resolve(climb[1]).name == "teacher.math"
    with pytest.raises(LineageError):
        Registry(shared.consolidation).resolve("teacher.code@1")


def test_a_statement_of_another_store_is_worthless_here(shared, tmp_path):
    other = Shared(tmp_path / "development")
    entry = register(other.math, "teacher.math", write_record(other.math, b"untested"))
    write_record(shared.math, b"untested")
    slot = "registry/teacher.math/versions/00000001"
    key = f"projects/math-team/{slot}"
    assert shared.math.claim(key, other.math.read_key(key))
    with pytest.raises(NotEntitledError):
        Registry(shared.math).resolve("teacher.math@1")
    assert entry.version == 1


def test_statements_do_not_change_places(shared):
    for content in (b"one", b"two"):
        register(shared.math, "teacher.math", write_record(shared.math, content))
    folder = shared.folder / "keys/projects/math-team/registry/teacher.math/versions"
    first, second = folder / "00000001", folder / "00000002"
    data = first.read_bytes()
    second.unlink()
    second.write_bytes(data)
    with pytest.raises(NotEntitledError):
        Registry(shared.math).versions("teacher.math")
    second.unlink()
    first.unlink()
    second.write_bytes(data)
    with pytest.raises(LineageError):
        Registry(shared.math).versions("teacher.math")


def test_a_slot_that_was_made_anew_breaks_the_chain(shared):
    for content in (b"one", b"two"):
        register(shared.math, "teacher.math", write_record(shared.math, content))
    folder = shared.folder / "keys/projects/math-team/registry/teacher.math/versions"
    [first, _] = Registry(shared.math).versions("teacher.math")
    (folder / "00000001").unlink()
    slot = "registry/teacher.math/versions/00000001"
    changed = first.model_copy(update={"note": "rewritten"})
    forge(shared.math, "math-team", slot, changed, project="math-team")
    with pytest.raises(CorruptError):
        Registry(shared.math).versions("teacher.math")


def test_a_short_name_that_two_names_answer_to_is_refused(store):
    registry = Registry(store)
    for name in ("teacher.math", "math"):
        artifact = Artifact(kind="release", digest=store.put_bytes(name.encode()))
        registry.register(name, artifact, owner="team")
    with pytest.raises(AmbiguousReferenceError):
        registry.resolve("math@1")
    assert registry.resolve("teacher.math@1").name == "teacher.math"


def test_a_digest_is_its_makers_registration_first(shared):
    climb = write_record(shared.math, b"math", kind="rl")
    register(shared.code, "teacher.code", climb)  # alphabetically first
    register(shared.math, "teacher.math", climb)
    assert Registry(shared.consolidation).resolve(climb[1]).name == "teacher.math"


def test_a_move_may_ask_where_the_alias_pointed(store):
    registry = Registry(store)
    for content in (b"one", b"two"):
        artifact = Artifact(kind="student", digest=store.put_bytes(content))
        registry.register("student.general", artifact, owner="team")
    registry.point("student.general", "released", 1, by="a", expected=0)
    with pytest.raises(LineageError):
        registry.point("student.general", "released", 2, by="b", expected=0)
    registry.point("student.general", "released", 2, by="b", expected=1)
    assert registry.aliases("student.general") == {"released": 2}


def test_a_stranger_reads_and_writes_nothing(shared, tmp_path):
    register(shared.math, "teacher.math", write_record(shared.math, b"good"))
    stranger = FolderStore(shared.folder)  # with the key of whoever runs this
    assert Registry(stranger).resolve("teacher.math@1").version == 1
    with pytest.raises(NotEntitledError):
        write_record(stranger, b"mine")
    with pytest.raises(UnknownReferenceError):
        Registry(FolderStore(tmp_path / "empty")).resolve("teacher.math@1")


def test_a_bucket_gets_its_first_trust_root_from_a_person(shared):
    from lineage.trust.author import author_of

    class Bucket:
        uri = "s3://bucket/prefix"
        signing_key = KEYS["math-team"]

    with pytest.raises(NoTrustRootError):
        author_of(Bucket(), None)
