"""Signed statements: their content, place and signer. Pure logic, no store.

An in-toto statement in a DSSE envelope. Its predicate names the store, the project, the place and
number of the slot, and the digest of the slot before. So a statement means nothing in another
store, under another name or at another number, and a slot that was removed or exchanged is seen.

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import Field, JsonValue, field_validator

from lineage.digest import canonical_json, digest_bytes, digest_json, hex_of, parse_json
from lineage.dsse import PAYLOAD_TYPE, SigningKey, parse_envelope, sign
from lineage.errors import CorruptError, NotEntitledError
from lineage.frozen import Frozen
from lineage.store.documents import to_json
from lineage.trust.root import TrustedKey, TrustRoot

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class Stated(Frozen):
    """The content of a statement: a document in a slot of its own."""

    predicate_type: ClassVar[str]

    def subject(self) -> tuple[str, str]:
        """Return name and digest of what the statement is about; by default of itself."""
        return type(self).__name__.lower(), digest_json(to_json(self))

    @classmethod
    def known(cls, body: JsonValue) -> Self:
        """Return the document in a JSON value; fields of a newer version are left out."""
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if name in cls.model_fields}
        return cls.model_validate(body)


Document = TypeVar("Document", bound=Stated)


class StatementPlace(Frozen):
    """The place of a statement in a store."""

    store: str
    """Id of the store."""
    project: str
    path: str
    """Below the project, such as ``registry/teacher.math/versions``."""
    number: int = Field(ge=1)
    previous: str = ""
    """Digest of the bytes in the slot before; "" for the first."""
    at: str
    """When it was stated, in UTC; never earlier than the previous slot."""

    @property
    def key(self) -> str:
        """Return the slot's key in the store."""
        return f"{prefix_of(self.project, self.path)}/{self.number:08d}"

    @field_validator("at")
    @classmethod
    def _moment(cls, value: str) -> str:
        if datetime.fromisoformat(value).utcoffset() is None:
            raise ValueError(f"time {value!r} has no offset")
        return value


@dataclass(frozen=True)
class Statement(Generic[Document]):
    """A signed statement as read from its slot."""

    body: Document
    slot: str
    """Key of its slot in the store."""
    previous: str
    """Digest of the bytes in the slot before; "" for the first."""
    at: str
    """When it was stated, in UTC."""
    team: str
    """Team that signed it."""
    key: TrustedKey
    digest: str
    """Digest of the slot's bytes."""

    @property
    def number(self) -> int:
        """Return the number of its slot."""
        return int(self.slot.rpartition("/")[2])


def prefix_of(project: str, path: str) -> str:
    """Return the prefix of a project's slots at ``path``."""
    return f"projects/{project}/{path}"


def make_statement(body: Stated, place: StatementPlace, key: SigningKey) -> bytes:
    """Return the signed statement that ``body`` holds at ``place``."""
    name, digest = body.subject()
    statement: JsonValue = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": hex_of(digest)}}],
        "predicateType": body.predicate_type,
        "predicate": {**place.model_dump(mode="json"), "body": to_json(body)},
    }
    return sign(canonical_json(statement), key).to_bytes()


def read_statement(
    data: bytes, key: str, model: type[Document], trust: TrustRoot
) -> Statement[Document]:
    """Return the statement in a slot, checked by itself; the reader checks the chain.

    This does not check that the signing key is still in effect.

    Raises:
        CorruptError: if the bytes are not a statement of this kind.
        NotEntitledError: for one that is of another store or place, or that no key of the project's
            team has signed.
    """
    envelope = parse_envelope(data, key)
    try:
        document: Any = parse_json(envelope.payload)
        is_kind = document["_type"] == STATEMENT_TYPE and envelope.payload_type == PAYLOAD_TYPE
        if not is_kind or document["predicateType"] != model.predicate_type:
            raise ValueError(f"its type is not {model.predicate_type}")  # noqa: TRY301
        predicate = dict(document["predicate"])
        body = model.known(predicate.pop("body"))
        known = {name: predicate[name] for name in StatementPlace.model_fields if name in predicate}
        place = StatementPlace.model_validate(known)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptError(
            f"{key!r} does not hold a valid {model.__name__.lower()}: {error}. Restore it from a "
            "copy of the store"
        ) from error
    if (place.store, place.key) != (trust.store, key):
        raise NotEntitledError(
            f"the statement at {key!r} of the store {trust.store[:8]} was made for {place.key!r} "
            f"of the store {place.store[:8]}: it counts only there. Use `provost lineage "
            "promote`, which brings a version from one store to another"
        )
    for keyid in envelope.signatures:
        found = trust.team_of_key(keyid)
        if found is None or trust.project_of(found[0]) != place.project:
            continue
        if envelope.is_signed_by(found[1].public):
            digest = digest_bytes(data)
            return Statement(body, key, place.previous, place.at, found[0], found[1], digest)
    raise NotEntitledError(
        f"the statement at {key!r} has no valid signature of the team that owns "
        f"{place.project!r}: another party wrote it, or its key left the trust root"
    )
