"""The history of a model as an in-toto bundle: a signed DSSE envelope for each record, in lines."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from lineage.digest import canonical_json
from lineage.dsse import SigningKey, sign

BUNDLE = "provenance.intoto.jsonl"


def write_bundle(folder: Path, statements: Sequence[dict[str, JsonValue]], key: SigningKey) -> Path:
    """Write signed statements, one a line, and return the file."""
    file = folder / BUNDLE
    lines = [sign(canonical_json(statement), key).to_bytes() for statement in statements]
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file
