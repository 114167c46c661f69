"""The trust root in the store: a signed chain of versions, each signed by who may change the last.

Every process that opens the store reads the same chain. So another folder, image or variable cannot
weaken it, and a rotated or revoked key takes effect everywhere at the next read. The first version
is trusted on first use: the creator of the store makes it.
"""

import json
import re
import secrets
from datetime import UTC, datetime
from typing import Protocol

from pydantic import JsonValue

from lineage.digest import canonical_json, digest_bytes, digest_json, hex_of
from lineage.dsse import SigningKey, parse_envelope, sign
from lineage.errors import NotEntitledError, TrustRootError
from lineage.store.documents import to_json
from lineage.store.store import Store
from lineage.trust.root import Team, TrustedKey, TrustRoot
from lineage.trust.statement import STATEMENT_TYPE

PREFIX = "trust"
PREDICATE_TYPE = "urn:provost:trust-root:1"
LOCAL_TEAM = "local"
"""The only team of a person's own store."""
_NUMBER = re.compile(r"[0-9]{8}")


class _Listing(Protocol):
    def keys(self, prefix: str) -> list[str]:
        """Return the claimed keys below ``prefix``."""


def slot_numbers(store: _Listing, prefix: str) -> list[int]:
    """Return the numbers of the slots below a prefix, sorted.

    Other files are skipped, such as an editor's backup or a ``.DS_Store``.
    """
    names = (key.removeprefix(f"{prefix}/") for key in store.keys(prefix))
    return sorted(int(name) for name in names if _NUMBER.fullmatch(name))


def read_chain(store: Store) -> TrustRoot | None:
    """Return the trust root in effect; None for a store without one.

    Raises:
        TrustRootError: for a chain that is damaged or has a wrong signer.
    """
    root: TrustRoot | None = None
    previous = ""
    for place, number in enumerate(slot_numbers(store, PREFIX), start=1):
        key = _key(number)
        if number != place:
            raise TrustRootError(
                f"version {place} of the trust root is missing, but {number} exists: restore "
                f"{_key(place)!r} from a copy of the store"
            )
        data = store.read_key(key) or b""
        root = _next(data, key, root, previous, number)
        previous = digest_bytes(data)
    return root


def _next(data: bytes, key: str, before: TrustRoot | None, previous: str, number: int) -> TrustRoot:
    """Return the version in ``data``, which must follow ``before``."""
    try:
        envelope = parse_envelope(data, key)
        document = json.loads(envelope.payload)
        root = TrustRoot.model_validate(document["predicate"])
        if document["predicateType"] != PREDICATE_TYPE:
            raise ValueError("it is of another kind")  # noqa: TRY301
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise TrustRootError(
            f"{key!r} does not hold a valid trust root: {error}. Restore it from a copy of the "
            "store"
        ) from error
    store_id = before.store if before else root.store
    if (root.store, root.version, root.previous) != (store_id, number, previous) or not store_id:
        raise TrustRootError(
            f"the trust root at {key!r} does not follow the one before it: one of them was "
            "replaced; restore both from a copy of the store"
        )
    if not any(envelope.is_signed_by(public) for public in (before or root).maintainers):
        raise TrustRootError(
            f"the trust root at {key!r} is not signed by a maintainer of the version before: it "
            "does not count, and the store cannot be read until a maintainer removes it"
        )
    return root


def publish(store: Store, wanted: TrustRoot, key: SigningKey) -> TrustRoot:
    """Make ``wanted`` the next version of the store's trust root; return the stored version.

    The store's id, the version and the digest of the version before are filled in. Publishing what
    is in effect already changes nothing.

    Raises:
        NotEntitledError: for a key that no maintainer of the version in effect holds.
        TrustRootError: if no key could publish the next version, or another one came first.
    """
    before = read_chain(store)
    if not wanted.maintainers:
        raise TrustRootError(
            "the trust root has no maintainer, so it could never be changed. Put a public key "
            f'into `maintainers = ["..."]`; yours is "{key.public}"'
        )
    entitled = (before or wanted).maintainers
    if key.public not in entitled:
        raise NotEntitledError(
            f"the key {key.public[:16]} belongs to no maintainer: only "
            f"{[public[:16] for public in entitled]} may sign the next trust root: have one of "
            "them publish it"
        )
    number = before.version + 1 if before else 1
    previous = digest_bytes(store.read_key(_key(before.version)) or b"") if before else ""
    root = wanted.model_copy(
        update={
            "store": before.store if before else secrets.token_hex(16),
            "version": number,
            "previous": previous,
            "adopted": wanted.adopted or (before.adopted if before else None),
        }
    )
    if before and root.model_copy(update={"version": number - 1}) == before.model_copy(
        update={"previous": previous}
    ):
        return before
    if not store.claim(_key(number), _signed(root, key)):
        raise TrustRootError(
            f"version {number} of the trust root was published in the meantime: read it with "
            "`provost trust show`, merge your change into it, and publish again"
        )
    return root


def own_root(key: SigningKey) -> TrustRoot:
    """Return the trust root of a person's own store: one team, one key, all names."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    team = Team(names=("*",), keys=(TrustedKey(public=key.public, since=since),))
    return TrustRoot(maintainers=(key.public,), teams={LOCAL_TEAM: team})


def _signed(root: TrustRoot, key: SigningKey) -> bytes:
    body = to_json(root)
    statement: JsonValue = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "trust-root", "digest": {"sha256": hex_of(digest_json(body))}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": body,
    }
    return sign(canonical_json(statement), key).to_bytes()


def _key(number: int) -> str:
    return f"{PREFIX}/{number:08d}"
