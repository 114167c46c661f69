"""A store from before statements were signed: read with a warning, adopted once, then frozen."""

import pytest

from lineage.artifacts import Artifact
from lineage.digest import hex_of
from lineage.errors import CorruptError, NoTrustRootError, TrustRootError
from lineage.graph.graph import Lineage
from lineage.operations.adoption import adopt, endorse, refuse_losses, unendorsed
from lineage.operations.verify import Verifier
from lineage.records.record import Attestation, Derivation, Records
from lineage.registry.names import signature_of
from lineage.registry.registry import Entry, Event, Registry
from lineage.store.documents import seal, to_json
from lineage.trust.author import own_key
from tests.support.making import SOURCE, TIME, take, write_record
from tests.support.teams import KEYS, MAINTAINER, NEW_KEYS, Shared, root


def write_old(store, data: bytes) -> tuple[str, str]:
    """Write a record as it was written before there was a trust root."""
    output = store.put_bytes(data)
    derivation = Derivation(kind="base", inputs=(), source=SOURCE, settings={}, seed=len(data))
    body = derivation.model_dump(mode="json", exclude={"project"})
    assert derivation.to_bytes() == canonical(body), "the identity of old records stays"
    said = Attestation(
        derivation=derivation.digest(), output=output, output_kind="checkpoint", finished=TIME
    )
    old = canonical(said.model_dump(mode="json", exclude={"replaces"}))
    record = derivation.digest()
    store.claim(f"records/{hex_of(record)}", derivation.to_bytes())
    store.claim(f"attestations/{hex_of(record)}/{hex_of(digest(old))}", old)
    return record, output


def canonical(value):
    from lineage.digest import canonical_json

    return canonical_json(value)


def digest(data):
    from lineage.digest import digest_bytes

    return digest_bytes(data)


def register_old(store, name, version, made):
    fields = {"kind": "checkpoint", "owner": "team", "created": TIME, "note": ""}
    entry = Entry(name=name, version=version, digest=made[1], record=made[0], **fields)
    store.claim(f"registry/{name}/versions/{version:08d}", seal(to_json(entry)))


@pytest.fixture
def old(store):
    made = write_old(store, b"weights")
    register_old(store, "fork-point", 1, made)
    return made


def test_an_old_store_is_read_with_a_warning(store, old, caplog, tmp_path):
    record, output = old
    assert Records(store).output(record).output == output
    entry = Registry(store).resolve("fork-point@1")
    assert signature_of(Registry(store), entry).state == "unsigned"
    assert "no trust root" in caplog.text
    assert Lineage(store, tmp_path / "index.db").find("fork-point@1") == record
    assert Verifier(store).verify(record).passed
    assert not Verifier(store, require_signed=True).verify(record).passed


def test_nothing_is_written_into_an_old_store_before_it_is_adopted(store, old):
    with pytest.raises(NoTrustRootError):
        write_record(store, b"new", take("start", old))
    with pytest.raises(NoTrustRootError):
        Registry(store).recall("fork-point", 1, by="me", reason="x")


def test_what_was_adopted_counts_and_work_goes_on(store, old, caplog):
    trust, count = adopt(store, own_key())
    assert (trust.version, count) == (1, 3)
    registry = Registry(store)
    entry = registry.resolve("fork-point@1")
    assert signature_of(registry, entry).state == "adopted"
    assert Verifier(store, require_signed=True).verify(old[0]).passed
    new = write_record(store, b"new", take("start", old))
    made = Artifact(kind="checkpoint", digest=new[1], record=new[0])
    assert registry.register("fork-point", made, owner="me").version == 2
    assert [item.version for item in Registry(store).versions("fork-point")] == [1, 2]
    registry.recall("fork-point", 1, by="me", reason="wrong data")
    assert Registry(store).status("fork-point", 1) == "recalled"
    assert "no trust root" not in caplog.text


def test_what_is_written_into_the_old_layout_after_adoption_does_not_count(store, old):
    adopt(store, own_key())
    late = write_old(store, b"late comer")
    register_old(store, "fork-point", 2, late)
    register_old(store, "teacher.late", 1, late)
    event = Event(action="recall", version=1, by="x", reason="y", at=TIME)
    store.claim("registry/fork-point/events/00000001", seal(to_json(event)))
    registry = Registry(store)
    assert registry.names() == ["fork-point"]
    assert [item.version for item in registry.versions("fork-point")] == [1]
    assert registry.status("fork-point", 1) == "active"
    assert late[0] not in Records(store).all()


def test_what_changed_after_adoption_is_refused(store, old):
    adopt(store, own_key())
    path = store._keys / "registry/fork-point/versions/00000001"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"team", b"evil"))
    with pytest.raises(CorruptError):
        Registry(store).resolve("fork-point@1")


def test_a_store_is_adopted_once_and_only_if_there_is_something(store, old, tmp_path):
    adopt(store, own_key())
    with pytest.raises(TrustRootError):
        adopt(store, own_key())
    with pytest.raises(TrustRootError):
        adopt(Shared(tmp_path / "shared").math, MAINTAINER)


def test_an_unknown_field_of_a_newer_version_is_left_out(store):
    record, output = write_old(store, b"weights")
    [key] = store.keys("attestations")
    said = Records(store).attestations(record)[0].model_dump(mode="json", exclude={"replaces"})
    newer = canonical({**said, "of_a_newer_version": 1})
    store.claim(key.rpartition("/")[0] + "/" + hex_of(digest(newer)), newer)
    assert {item.output for item in Records(store).attestations(record)} == {output}


@pytest.mark.parametrize("change", ["no key", "another key", "no team", "renamed", "no name"])
def test_a_trust_root_that_loses_what_a_team_has_signed_is_refused(tmp_path, change):
    shared = Shared(tmp_path / "shared")
    made = write_record(shared.math, b"good")
    artifact = Artifact(kind="checkpoint", digest=made[1], record=made[0])
    Registry(shared.math).register("teacher.math", artifact, owner="math")
    wanted, team = root(), root().teams["math-team"]
    renewed = team.keys[0].model_copy(update={"public": NEW_KEYS["math-team"].public})
    teams = {name: each for name, each in wanted.teams.items() if name != "math-team"}
    teams |= {
        "no key": {"math-team": team.model_copy(update={"keys": ()})},
        "another key": {"math-team": team.model_copy(update={"keys": (renewed,)})},
        "no team": {},
        "renamed": {"calculus": team},
        "no name": {"math-team": team.model_copy(update={"names": ("teacher.sums",)})},
    }[change]
    with pytest.raises(TrustRootError):
        refuse_losses(shared.math, wanted.model_copy(update={"teams": teams}))


def test_a_team_gets_another_name_and_keeps_its_statements(tmp_path):
    shared = Shared(tmp_path / "shared")
    write_record(shared.math, b"good")
    team = root().teams["math-team"]
    teams = {name: each for name, each in root().teams.items() if name != "math-team"}
    teams["calculus"] = team.model_copy(update={"project": "math-team"})
    del teams["code-team"]  # it has stated nothing
    refuse_losses(shared.math, root().model_copy(update={"teams": teams}))
    refuse_losses(shared.math, root(math_team={"revoked": TIME}))


def test_a_key_is_rotated_out_only_after_the_new_one_has_endorsed(tmp_path):
    shared = Shared(tmp_path / "shared")
    write_record(shared.math, b"good")
    rotated = root(math_team={"until": "2026-11-20T00:00:00+00:00"})
    assert unendorsed(shared.math, rotated) == ["math-team"]
    shared.publish(root(math_team={"until": "2999-01-01T00:00:00+00:00"}))
    assert endorse(shared.of("math-team", NEW_KEYS["math-team"]), "rotation").team == "math-team"
    assert unendorsed(shared.math, rotated) == []
    write_record(shared.of("math-team", NEW_KEYS["math-team"]), b"by the new key")
    assert unendorsed(shared.math, rotated) == []
    write_record(shared.of("math-team", KEYS["math-team"]), b"by the old one, after all")
    assert unendorsed(shared.math, rotated) == ["math-team"]
