"""DSSE envelopes signed with ed25519: the format alone, not the content.

Envelopes and key ids are those of securesystemslib, which a test holds both ways. They are made
here with ``cryptography`` alone, because every command reads envelopes and importing that library's
signers takes over a second: it loads boto3 wherever that is installed.

Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import JsonValue

from lineage.digest import PREFIX, canonical_json, digest_json
from lineage.errors import BadKeyError, CorruptError

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class SigningKey:
    """An ed25519 private key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        """Use ``private``."""
        self._private = private
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = raw.hex()
        """The public half: 64 hex digits, as the trust root lists it."""
        self.keyid = key_id(self.public)

    @classmethod
    def generate(cls) -> "SigningKey":
        """Return a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: str) -> "SigningKey":
        """Return the key in a PEM text; raise BadKeyError for anything else."""
        try:
            key = load_pem_private_key(pem.encode("ascii"), password=None)
        except (ValueError, TypeError) as error:
            raise BadKeyError(
                f"the signing key is not a PEM private key ({error}): use the text that `provost "
                "teacher keygen FILE` wrote"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKeyError(
                "the signing key is not ed25519; make one with `provost teacher keygen FILE`"
            )
        return cls(key)

    def public_pem(self) -> str:
        """Return the public half as PEM (SPKI), which other people's tools read."""
        public = self._private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    def to_pem(self) -> str:
        """Return the private key as PEM. Keep it secret."""
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._private.private_bytes(*form).decode("ascii")

    def secret_for(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose, which the key's owner alone can derive."""
        raw = self._private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return hmac.digest(raw, purpose.encode(), "sha256")

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message. The same message gives the same signature."""
        return self._private.sign(message)


@dataclass(frozen=True)
class Envelope:
    """A payload with the signatures over it."""

    payload: bytes
    payload_type: str
    signatures: Mapping[str, bytes]
    """Key id to signature."""

    def to_bytes(self) -> bytes:
        """Return the envelope as canonical JSON."""
        signatures: list[JsonValue] = [
            {"keyid": keyid, "sig": _text(sig)} for keyid, sig in self.signatures.items()
        ]
        return canonical_json(
            {
                "payload": _text(self.payload),
                "payloadType": self.payload_type,
                "signatures": signatures,
            }
        )

    def is_signed_by(self, public: str) -> bool:
        """Return whether the envelope carries a good signature of this public key (hex)."""
        signature = self.signatures.get(key_id(public))
        if signature is None:
            return False
        return _is_signature(public, signature, _to_be_signed(self.payload_type, self.payload))


def sign(payload: bytes, key: SigningKey, payload_type: str = PAYLOAD_TYPE) -> Envelope:
    """Return an envelope of the payload with the key's signature."""
    signature = key.sign(_to_be_signed(payload_type, payload))
    return Envelope(payload, payload_type, {key.keyid: signature})


def parse_envelope(data: bytes, place: str) -> Envelope:
    """Return the envelope in ``data``; raise CorruptError naming ``place`` for anything else."""
    try:
        document = json.loads(data)
        signatures = {
            str(item["keyid"]): base64.b64decode(item["sig"], validate=True)
            for item in document["signatures"]
        }
        payload = base64.b64decode(document["payload"], validate=True)
        return Envelope(payload, str(document["payloadType"]), signatures)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptError(f"{place!r} does not hold a valid DSSE envelope: {error}") from error


@cache
def key_id(public: str) -> str:
    """Return the id of an ed25519 public key (64 hex digits), as securesystemslib computes it."""
    described: JsonValue = {
        "keytype": "ed25519",
        "scheme": "ed25519",
        "keyval": {"public": public},
    }
    return digest_json(described).removeprefix(PREFIX)


@lru_cache(maxsize=4096)
def _is_signature(public: str, signature: bytes, message: bytes) -> bool:
    """Return whether a public key (hex) has signed the message.

    The answers are kept: a command reads the same statements again and again.
    """
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _to_be_signed(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: lengths keep type and payload apart."""
    kind = payload_type.encode("utf-8")
    return b" ".join(
        [b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload]
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
