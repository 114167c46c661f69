"""The history of a model as an in-toto bundle: a signed DSSE envelope for each record, in lines."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from lineage.digest import canonical_json
from lineage.signing import PAYLOAD_TYPE, signer_of

SIGNED = "provenance.intoto.jsonl"
UNSIGNED = "provenance.unsigned.jsonl"
"""Bare statements: an envelope without a signature would be none."""


def write_bundle(folder: Path, statements: Sequence[dict[str, JsonValue]], key: str) -> Path:
    """Write statements, one a line, and return the file; without a key they stay unsigned.

    Raises:
        LineageError: for a key that is not ed25519 in PEM.
    """
    file = folder / (SIGNED if key else UNSIGNED)
    lines = [canonical_json(statement) for statement in statements]
    if key:
        lines = [_signed(line, key) for line in lines]
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file


def public_pem(private_pem: str) -> str:
    """Return the public half of a signing key as PEM (SPKI), which other people's tools read."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    signer_of(private_pem)  # says what is wrong with a key that is none
    public = load_pem_private_key(private_pem.encode("ascii"), password=None).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def _signed(payload: bytes, key: str) -> bytes:
    from securesystemslib.dsse import Envelope  # noqa: PLC0415 - it imports boto3 where there is

    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(signer_of(key))
    return json.dumps(envelope.to_dict(), sort_keys=True).encode()
