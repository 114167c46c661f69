"""The trust root in the store: a chain that only maintainers extend, and whose keys count."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from lineage.dsse import SigningKey, parse_envelope, sign
from lineage.errors import (
    BadKeyError,
    CorruptError,
    NotEntitledError,
    NoTrustRootError,
    TrustRootError,
)
from lineage.trust.author import author_of, given_key, own_key, own_key_path, write_key
from lineage.trust.chain import LOCAL_TEAM, own_root, publish, read_chain
from lineage.trust.journal import Journal
from lineage.trust.root import TrustRoot, read_trust
from tests.support.teams import KEYS, MAINTAINER, root

STRANGER = SigningKey.generate()


def test_a_new_folder_makes_its_own_root_at_the_first_statement_and_not_before(store):
    assert read_chain(store) is None
    assert Journal(store).trust is None
    author = Journal(store).author
    assert (author.team, author.project, author.key.public) == (
        LOCAL_TEAM,
        LOCAL_TEAM,
        own_key().public,
    )
    made = read_chain(store)
    assert (made.version, len(made.store), made.previous) == (1, 32, "")
    assert Journal(store).author == author or Journal(store).author.key.public == author.key.public
    assert read_chain(store) == made


def test_versions_follow_each_other_and_keep_the_stores_id(store):
    first = publish(store, root(), MAINTAINER)
    again = publish(store, root(), MAINTAINER)
    assert again == first, "nothing changed, so there is no new version"
    second = publish(store, root(math_team={"revoked": "2026-11-20T00:00:00+00:00"}), MAINTAINER)
    assert (second.version, second.store) == (2, first.store)
    assert second.previous.startswith("sha256:")
    assert read_chain(store) == second


def test_only_a_maintainer_of_the_version_before_publishes_the_next(store):
    publish(store, root(), MAINTAINER)
    takeover = root().model_copy(update={"maintainers": (STRANGER.public,)})
    with pytest.raises(NotEntitledError):
        publish(store, takeover, STRANGER)
    publish(store, takeover, MAINTAINER)  # handed over
    with pytest.raises(NotEntitledError):
        publish(store, root(), MAINTAINER)
    assert publish(store, root(), STRANGER).version == 3


def test_a_forged_next_version_stops_every_reader(store):
    publish(store, root(), MAINTAINER)
    data = json.loads(parse_envelope(store.read_key("trust/00000001"), "x").payload)
    data["predicate"] |= {"version": 2, "maintainers": [STRANGER.public]}
    forged = sign(json.dumps(data).encode(), STRANGER)
    store.claim("trust/00000002", forged.to_bytes())
    with pytest.raises(TrustRootError):
        read_chain(store)


@pytest.mark.parametrize("damage", [b"", b"{}", b"garbage"])
def test_a_damaged_chain_is_refused_and_not_taken_for_none(store, damage):
    publish(store, root(), MAINTAINER)
    path = store._keys / "trust/00000001"
    path.chmod(0o644)
    path.write_bytes(damage)
    with pytest.raises(TrustRootError):
        read_chain(store)


def test_a_version_that_is_gone_is_missed(store):
    publish(store, root(), MAINTAINER)
    publish(store, root(math_team={"revoked": "2026-11-20T00:00:00+00:00"}), MAINTAINER)
    (store._keys / "trust/00000001").unlink()
    with pytest.raises(TrustRootError):
        read_chain(store)


def test_a_root_without_a_maintainer_is_refused(store):
    with pytest.raises(TrustRootError):
        publish(store, root().model_copy(update={"maintainers": ()}), MAINTAINER)


def test_a_key_without_a_team_or_out_of_effect_is_not_an_author(store):
    trust = publish(store, root(), MAINTAINER)
    store.signing_key = STRANGER
    with pytest.raises(NotEntitledError):
        author_of(store, trust)
    store.signing_key = KEYS["math-team"]
    assert author_of(store, trust)[0].project == "math-team"
    revoked = publish(store, root(math_team={"revoked": "2026-11-20T00:00:00+00:00"}), MAINTAINER)
    with pytest.raises(NotEntitledError):
        author_of(store, revoked)


def test_a_store_from_before_is_not_taken_over_by_who_writes_first(store):
    store.claim("records/" + "0" * 64, b"{}")
    with pytest.raises(NoTrustRootError):
        _ = Journal(store).author
    assert read_chain(store) is None


def test_the_exact_name_wins_over_a_pattern_and_the_longer_pattern_over_the_shorter():
    trust = TrustRoot.model_validate(
        {
            "teams": {
                "a": {"names": ["*"]},
                "b": {"names": ["teacher.*"]},
                "c": {"names": ["teacher.math"], "project": "place-of-c"},
            }
        }
    )
    assert [trust.owner_of(name) for name in ("base", "teacher.code", "teacher.math")] == [
        "a",
        "b",
        "c",
    ]
    assert trust.projects == {"a": "a", "b": "b", "place-of-c": "c"}
    assert TrustRoot().owner_of("base") == ""


@pytest.mark.parametrize(
    "teams",
    [
        {"a": {"names": ["x"]}, "b": {"names": ["x"]}},
        {"a": {"names": ["x"], "project": "b"}, "b": {"names": ["y"]}},
        {"a": {"names": ["*x"]}},
        {"a": {"names": ["x"], "project": "../b"}},
        {"a": {"names": []}},
    ],
)
def test_a_root_in_which_two_own_one_thing_is_refused(teams):
    with pytest.raises(ValidationError):
        TrustRoot.model_validate({"teams": teams})


def test_a_trust_file_is_read_or_refused(tmp_path):
    path = tmp_path / "trust.toml"
    with pytest.raises(TrustRootError):
        read_trust(path)
    path.write_text('maintainers = ["' + "0" * 64 + '"]\n[teams.a]\nnames = ["teacher.math"]\n')
    assert read_trust(path).owner_of("teacher.math") == "a"
    path.write_text("[teams.a]\nnames = 1\n")
    with pytest.raises(TrustRootError):
        read_trust(path)


def test_a_key_comes_from_the_environment_or_a_mounted_file(tmp_path):
    key, other = SigningKey.generate(), SigningKey.generate()
    write_key(tmp_path / "key", key)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert given_key({"PROVOST_SIGNING_KEY": other.to_pem()}).public == other.public
    assert given_key({"PROVOST_SIGNING_KEY_FILE": str(tmp_path / "key")}).public == key.public
    assert given_key({}) is None
    with pytest.raises(BadKeyError):
        given_key({"PROVOST_SIGNING_KEY": "nonsense"})
    with pytest.raises(BadKeyError):
        given_key({"PROVOST_SIGNING_KEY_FILE": str(tmp_path / "absent")})


def test_a_persons_own_key_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert own_key().public == own_key().public
    assert own_key_path().stat().st_mode & 0o777 == 0o600
    assert [path.name for path in own_key_path().parent.iterdir()] == ["signing-key.pem"]
    monkeypatch.setenv("XDG_CONFIG_HOME", "/proc/nowhere")
    with pytest.raises(BadKeyError):
        own_key()


def test_an_own_root_owns_every_name():
    key = SigningKey.generate()
    trust = own_root(key)
    assert {trust.owner_of(name) for name in ("base", "teacher.math", "student.x")} == {LOCAL_TEAM}


def test_envelopes_are_those_of_securesystemslib():
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

    from lineage.digest import canonical_json

    theirs = CryptoSigner.generate_ed25519()
    ours = SigningKey.from_pem(theirs.private_bytes.decode())
    assert ours.keyid == theirs.public_key.keyid
    envelope = Envelope(b"payload", "application/x", {})
    envelope.sign(theirs)
    mine = sign(b"payload", ours, "application/x")
    assert mine.to_bytes() == canonical_json(envelope.to_dict())
    Envelope.from_dict(json.loads(mine.to_bytes())).verify([theirs.public_key], 1)
    assert parse_envelope(canonical_json(envelope.to_dict()), "x").is_signed_by(ours.public)
    assert not sign(b"other", STRANGER).is_signed_by(ours.public)


@pytest.mark.parametrize("changed", [{"payload": b"other"}, {"payload_type": "application/y"}])
def test_a_signature_counts_for_the_bytes_that_were_signed_alone(changed):
    signed = sign(b"payload", STRANGER, "application/x")
    for _ in range(2):  # answers are kept
        assert signed.is_signed_by(STRANGER.public)
        assert not replace(signed, **changed).is_signed_by(STRANGER.public)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"payload": "!", "payloadType": "x", "signatures": []}',
        b'{"payload": "", "payloadType": "x", "signatures": [1]}',
        b"[" * 100_000,
    ],
)
def test_bytes_that_are_not_an_envelope_are_refused(data):
    with pytest.raises(CorruptError):
        parse_envelope(data, "somewhere")
