"""Signatures of releases and students: in-toto statements in DSSE envelopes, ed25519.

A team signs what stands in the registry: name, version, digest, record, owner. The envelope stands
beside the entry, under its own digest. Signing is a claim by a key; whether it counts is the trust
root's to say, and a signature that is missing is shown as missing, never as good.
"""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from lineage.digest import canonical_json, digest_bytes, hex_of
from lineage.errors import CorruptError, LineageError
from lineage.slots import Entry
from lineage.store import Store
from lineage.trust import TrustedKey, TrustRoot

if TYPE_CHECKING:  # at run time late: securesystemslib imports boto3 wherever it is installed
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # no __all__

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:provost:registry-entry:1"
KEY_VARIABLE = "PROVOST_SIGNING_KEY"
"""Holds the private key as PEM, or ``<variable>_FILE`` the path to it (a mounted secret)."""


@dataclass(frozen=True)
class Signature:
    """What is known of an entry's signature."""

    entry: str
    """``teacher.math@3``."""
    state: Literal["signed", "unsigned", "refused"]
    team: str = ""
    why: str = ""
    """Why it is refused, or what is missing."""


def generate_key() -> tuple[str, str]:
    """Return a new private key (PEM, keep it secret) and its public half (hex, for the root)."""
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # noqa: PLC0415

    signer = CryptoSigner.generate_ed25519()
    return signer.private_bytes.decode(), str(signer.public_key.keyval["public"])


def signing_key(environment: Mapping[str, str] | None = None) -> str:
    """Return the private key that the environment names, "" where it names none.

    Raises:
        LineageError: where it cannot be read or is no key: asked before anything is spent.
    """
    variables = os.environ if environment is None else environment
    path = variables.get(f"{KEY_VARIABLE}_FILE")
    try:
        key = Path(path).read_text(encoding="ascii") if path else variables.get(KEY_VARIABLE, "")
    except (OSError, UnicodeDecodeError) as error:
        raise LineageError(
            f"the signing key cannot be read ({error}): name its file in ${KEY_VARIABLE}_FILE, or "
            "unset that to sign nothing"
        ) from error
    if key:
        signer_of(key)
    return key


def sign(store: Store, entry: Entry, private_pem: str) -> str:
    """Sign a registry entry; return the digest of the envelope. Signing again changes nothing.

    Raises LineageError for a key that is not ed25519 in PEM.
    """
    from securesystemslib.dsse import Envelope  # noqa: PLC0415

    signer = signer_of(private_pem)
    envelope = Envelope(canonical_json(statement(entry)), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    data = canonical_json(envelope.to_dict())
    digest = digest_bytes(data)
    store.claim(f"{_key(entry)}/{hex_of(digest)}", data)
    return digest


def statement(entry: Entry) -> dict[str, JsonValue]:
    """Return the in-toto statement about an entry: the same for everyone who makes it."""
    subject: JsonValue = {"name": _name(entry), "digest": {"sha256": hex_of(entry.digest)}}
    return {
        "_type": STATEMENT_TYPE,
        "subject": [subject],
        "predicateType": PREDICATE_TYPE,
        "predicate": entry.model_dump(mode="json"),
    }


def check_signature(store: Store, entry: Entry, trust: TrustRoot) -> Signature:
    """Return whether a trusted key of the name's own team signed exactly this entry."""
    keys = store.keys(_key(entry))
    if not keys:
        command = shlex.join(["provost", "teacher", "sign", _name(entry)])
        why = f"nobody signed it; its team can with `{command}`"
        return Signature(_name(entry), "unsigned", why=why)
    found = [_check_envelope(store, key, entry, trust) for key in keys]
    good = [signature for signature in found if signature.state == "signed"]
    return (good or found)[0]


def _check_envelope(store: Store, key: str, entry: Entry, trust: TrustRoot) -> Signature:
    def refuse(why: str, team: str = "") -> Signature:
        return Signature(_name(entry), "refused", team, why)

    try:
        envelope = _read(store, key)
    except CorruptError as error:
        return refuse(str(error))
    if envelope.payload_type != PAYLOAD_TYPE or envelope.payload != canonical_json(
        statement(entry)
    ):
        return refuse(f"the envelope {key} says something else than the registry")
    why = "it carries no signature"
    for keyid in envelope.signatures:
        known = trust.team_of_key(keyid)
        if known is None:
            why = f"key {keyid[:16]} is not in the trust root"
            continue
        team, trusted = known
        problem = trusted.why_not(entry.created) or _not_theirs(entry, team, trust)
        if problem:
            return refuse(f"{team} signed it, but {problem}", team)
        if not fits(envelope, trusted):
            return refuse(f"the signature of {team} does not fit the statement", team)
        return Signature(_name(entry), "signed", team)
    return refuse(why)


def fits(envelope: "Envelope", trusted: TrustedKey) -> bool:
    """Return whether the envelope carries this key's signature of what it says."""
    from securesystemslib.exceptions import VerificationError  # noqa: PLC0415

    try:
        envelope.verify([trusted.key()], 1)
    except VerificationError:
        return False
    return True


def _not_theirs(entry: Entry, team: str, trust: TrustRoot) -> str:
    owner = trust.owner_of(entry.name)
    if owner == team:
        return ""
    return f"{entry.name} belongs to {owner or 'no team of the trust root'}: a team signs its own"


def _read(store: Store, key: str) -> "Envelope":
    """Return the envelope in a slot; raise CorruptError for one that changed or is no envelope."""
    from securesystemslib.dsse import Envelope  # noqa: PLC0415

    data = store.read_key(key) or b""
    if hex_of(digest_bytes(data)) != key.rpartition("/")[2]:
        raise CorruptError(f"the envelope at {key!r} changed after it was written")
    try:
        return Envelope.from_dict(json.loads(data))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptError(f"what stands at {key!r} is no DSSE envelope: {error}") from error


def signer_of(private_pem: str) -> "CryptoSigner":
    """Return the signer of an ed25519 key in PEM; raise LineageError for anything else."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # noqa: PLC0415

    try:
        key = load_pem_private_key(private_pem.encode("ascii"), password=None)
    except (ValueError, TypeError) as error:
        raise LineageError(
            f"the signing key is no PEM private key ({error}): set {KEY_VARIABLE} to the text "
            f"that `provost teacher keygen FILE` wrote, or {KEY_VARIABLE}_FILE to a file with it"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise LineageError("the signing key is not ed25519; make one with `provost teacher keygen`")
    return CryptoSigner(key)


def _name(entry: Entry) -> str:
    return f"{entry.name}@{entry.version}"


def _key(entry: Entry) -> str:
    return f"signatures/{entry.name}/{entry.version:08d}"
