"""Signatures: a team speaks for its own names, with keys that the trust root believes."""

import pytest
from pydantic import ValidationError

from lineage.artifacts import Artifact
from lineage.errors import LineageError
from lineage.registry import Registry
from lineage.signing import check_signature, generate_key, sign, signing_key
from lineage.trust import TrustRoot, read_trust

MATH_KEY, MATH_PUBLIC = generate_key()
CODE_KEY, CODE_PUBLIC = generate_key()
NEW_KEY, NEW_PUBLIC = generate_key()
CREATED = "2026-11-10T00:00:00.000+00:00"


def trust(**changes) -> TrustRoot:
    """Two teams; ``changes`` apply to the math team's first key."""
    start = "2026-11-01T00:00:00+00:00"
    math = {"public": MATH_PUBLIC, "since": start} | changes
    new = {"public": NEW_PUBLIC, "since": "2026-11-15T00:00:00+00:00"}
    code = {"public": CODE_PUBLIC, "since": start}
    return TrustRoot.model_validate(
        {
            "teams": {
                "math-team": {"names": ["teacher.math"], "keys": [math, new]},
                "code-team": {"names": ["teacher.code"], "keys": [code]},
            }
        }
    )


@pytest.fixture
def entry(store):
    artifact = Artifact(kind="release", digest=store.put_bytes(b"release"))
    registry = Registry(store, clock=lambda: CREATED)
    return registry.register("teacher.math", artifact, owner="math-team")


def test_the_teams_own_signature_counts(store, entry):
    assert sign(store, entry, MATH_KEY) == sign(store, entry, MATH_KEY)  # ed25519 is repeatable
    signature = check_signature(store, entry, trust())
    assert (signature.state, signature.team) == ("signed", "math-team")


def test_unsigned_is_shown_as_unsigned(store, entry):
    signature = check_signature(store, entry, trust())
    assert signature.state == "unsigned"
    assert "provost teacher sign teacher.math@1" in signature.why


def test_another_teams_key_and_an_unknown_key_are_refused(store, entry):
    sign(store, entry, CODE_KEY)
    signature = check_signature(store, entry, trust())
    assert signature.state == "refused"
    assert "belongs to math-team" in signature.why
    assert "not in the trust root" in check_signature(store, entry, TrustRoot()).why


def test_a_signature_does_not_carry_over_to_another_version(store, entry):
    sign(store, entry, MATH_KEY)
    artifact = Artifact(kind="release", digest=store.put_bytes(b"other"))
    other = Registry(store, clock=lambda: CREATED).register("teacher.math", artifact, owner="x")
    [key] = store.keys("signatures/teacher.math/00000001")
    moved = key.replace("00000001", "00000002")
    store.claim(moved, store.read_key(key))
    assert "something else" in check_signature(store, other, trust()).why


def test_a_changed_envelope_and_a_forged_signature_are_refused(store, entry):
    sign(store, entry, MATH_KEY)
    [key] = store.keys("signatures")
    path = store._keys / key
    good = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(good.replace(b'"sig":"', b'"sig":"AAAA', 1))
    assert "changed" in check_signature(store, entry, trust()).why
    path.unlink()
    from lineage.digest import digest_bytes, hex_of

    forged = good.replace(good.split(b'"sig":"')[1][:8], b"AAAAAAAA")
    store.claim(key.rpartition("/")[0] + "/" + hex_of(digest_bytes(forged)), forged)
    assert "does not fit" in check_signature(store, entry, trust()).why


def test_a_rotated_key_speaks_for_what_was_registered_before(store, entry):
    sign(store, entry, MATH_KEY)
    after, before = "2026-11-12T00:00:00+00:00", "2026-11-09T00:00:00+00:00"
    assert check_signature(store, entry, trust(until=after)).state == "signed"
    rotated = check_signature(store, entry, trust(until=before))
    assert (rotated.state, "rotated out" in rotated.why) == ("refused", True)


def test_a_revoked_key_speaks_for_nothing_until_a_new_one_signs_again(store, entry):
    sign(store, entry, MATH_KEY)
    revoked = trust(revoked="2026-11-20T00:00:00+00:00", reason="laptop lost")
    assert "laptop lost" in check_signature(store, entry, revoked).why
    sign(store, entry, NEW_KEY)
    assert check_signature(store, entry, revoked).state == "signed"


def test_a_key_comes_from_the_environment_or_a_mounted_file(tmp_path):
    (tmp_path / "key").write_text(MATH_KEY)
    assert signing_key({"PROVOST_SIGNING_KEY": CODE_KEY}) == CODE_KEY
    assert signing_key({"PROVOST_SIGNING_KEY_FILE": str(tmp_path / "key")}) == MATH_KEY
    assert signing_key({}) == ""


@pytest.mark.parametrize("key", ["", "nonsense"])
def test_what_is_no_key_is_refused(store, entry, key):
    with pytest.raises(LineageError, match="PROVOST_SIGNING_KEY"):
        sign(store, entry, key)


def test_a_trust_root_is_read_from_toml_and_a_bad_one_is_refused(tmp_path):
    path = tmp_path / "trust.toml"
    assert read_trust(path) == TrustRoot()
    path.write_text(
        f'[teams.math-team]\nnames = ["teacher.math"]\n[[teams.math-team.keys]]\n'
        f'public = "{MATH_PUBLIC}"\nsince = "2026-11-01T00:00:00+00:00"\n'
    )
    assert read_trust(path).owner_of("teacher.math") == "math-team"
    path.write_text("[teams.a]\nnames = 1\n")
    with pytest.raises(LineageError, match="trust root"):
        read_trust(path)


def test_a_name_has_one_team():
    team = {"names": ["teacher.math"]}
    with pytest.raises(ValidationError, match="stands twice"):
        TrustRoot.model_validate({"teams": {"a": team, "b": team}})
