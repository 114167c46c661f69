"""Digests: SHA-256 over bytes, files and canonical JSON, always written ``sha256:<64 hex>``."""

import hashlib
import json
import re
from pathlib import Path

from pydantic import JsonValue

from lineage.errors import BadDigestError, LineageError

PREFIX = "sha256:"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_DEPTH = 100
"""Nesting of JSON that is hashed; deeper is a mistake, and would exhaust the parser's stack."""


def is_digest(text: str) -> bool:
    """Say whether ``text`` is written as a digest."""
    return _DIGEST.fullmatch(text) is not None


def hex_of(digest: str) -> str:
    """Return the 64 hex digits of a digest, or raise BadDigestError."""
    if not is_digest(digest):
        raise BadDigestError(
            f"{digest!r} is not a digest: expected 'sha256:' and 64 lower-case hex digits; copy "
            "the full digest from `provost lineage show`"
        )
    return digest.removeprefix(PREFIX)


def canonical_json(value: JsonValue) -> bytes:
    """Return the one UTF-8 spelling of ``value``: keys sorted, no spaces, NaN and inf refused.

    Raises LineageError for what has no such spelling: a float that is not finite, a key that is
    not a string, a lone surrogate, nesting deeper than 100.
    """
    _check(value, 0)
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode("utf-8")
    except (ValueError, TypeError) as error:
        raise LineageError(
            f"this value has no canonical JSON: {error}; use finite numbers, strings, lists and "
            "dicts only"
        ) from error


def parse_json(data: bytes | str) -> JsonValue:
    """Return the value of an untrusted JSON document.

    Raises ValueError for invalid JSON and for a lone surrogate, which JSON allows but which can
    be neither stored nor shown; RecursionError for nesting that is too deep.
    """
    value: JsonValue = json.loads(data)
    json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _check(value: JsonValue, depth: int) -> None:
    """Refuse keys that json would silently turn into strings, and endless nesting."""
    if depth > _MAX_DEPTH:
        raise LineageError(f"JSON nested deeper than {_MAX_DEPTH}: flatten it before it is hashed")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise LineageError(
                    f"key {key!r} is not a string: two keys could collide; use str keys"
                )
            _check(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth + 1)


def digest_bytes(data: bytes) -> str:
    """Return the digest of ``data``."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the digest of the file's bytes; reads it once, in constant memory."""
    with path.open("rb") as file:
        return PREFIX + hashlib.file_digest(file, "sha256").hexdigest()


def digest_json(value: JsonValue) -> str:
    """Return the digest of the canonical JSON of ``value``."""
    return digest_bytes(canonical_json(value))
