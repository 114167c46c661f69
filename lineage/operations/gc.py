"""Garbage collection: remove blobs that no record, name or recent write reaches.

Reached is what any slot names (attestations, versions, aliases), and what a reached document names
in turn: a manifest its files, a release its parts, a derivation its inputs. A blob younger than the
grace period is kept with all that it names, because its writer may still be at work. Slots are
never removed. The states of a run that goes on (``states/<derivation>/`` of its project) are
reached until the run's output is attested, and of these the newest alone.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from lineage.dsse import parse_envelope
from lineage.errors import CorruptError, DamagedError, LineageError, MissingBlobError
from lineage.store.documents import digests_in
from lineage.store.store import BlobState, Store
from lineage.trust.journal import PROJECTS

_HEX = re.compile(r"[0-9a-f]{64}")
_DOCUMENT_BYTES = 64 << 20
"""Larger blobs are weights or rows: they are not searched for digests."""
STATES = "states"
"""Folder of the training states that a project's runs saved, by derivation."""
LEAST_GRACE_SECONDS = 2 * 3600.0
DEFAULT_GRACE_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class CollectionPlan:
    """What a collection would remove, or has removed: documents first."""

    kept: int
    remove: tuple[BlobState, ...]
    damaged: tuple[str, ...] = ()
    """Blobs with other bytes than their digest says, which no slot reaches. Their content counts
    for nothing."""
    young: tuple[BlobState, ...] = ()
    """Kept blobs that no slot reaches: too young, or named by one that is."""

    @property
    def size(self) -> int:
        """Return the bytes of all that is removed."""
        return sum(blob.size for blob in self.remove)


def find_garbage(
    store: Store,
    grace_seconds: float = DEFAULT_GRACE_SECONDS,
    give_up: Collection[str] = (),
) -> CollectionPlan:
    """Return what nothing reaches and is older than the grace period. Removes nothing.

    Args:
        store: Store to search.
        grace_seconds: Age below which a blob is kept with all that it names.
        give_up: Digests of damaged documents that cannot be restored: they name nothing.

    Raises:
        LineageError: for a grace period of less than two hours: a large checkpoint takes that long
            from its first blob to its record.
        DamagedError: for damaged documents that a slot reaches: what they named is not known, so
            nothing is garbage for certain.
    """
    if grace_seconds < LEAST_GRACE_SECONDS:
        raise LineageError(
            f"a grace period of {grace_seconds:g} s could remove blobs that a running step has "
            f"put but not yet recorded; use at least {LEAST_GRACE_SECONDS:g} s",
            code="short-grace",
        )
    blobs = {blob.digest: blob for blob in store.blob_states()}
    unreadable: set[str] = set()
    named = _reach(store, _named_in_slots(store) & blobs.keys(), blobs, unreadable)
    if lost := unreadable - set(give_up):
        raise DamagedError(
            "nothing was removed: names or records depend on damaged documents, and what those "
            "named is not known. Restore them from a backup. To give them up, and collect what "
            "they alone named: "
            f"provost lineage gc {' '.join(f'--give-up {digest}' for digest in sorted(lost))}",
            frozenset(lost),
        )
    damaged: set[str] = set()
    young = {blob.digest for blob in blobs.values() if blob.age_seconds < grace_seconds}
    reached = named | _reach(store, young - named, blobs, damaged)
    garbage = [blob for digest, blob in blobs.items() if digest not in reached]
    documents = {blob.digest for blob in garbage if _names(store, blob, damaged)}
    garbage.sort(key=lambda blob: (blob.digest not in documents, blob.digest))
    waiting = tuple(blobs[digest] for digest in sorted(reached - named))
    return CollectionPlan(len(reached), tuple(garbage), tuple(sorted(damaged)), waiting)


def collect(
    store: Store,
    grace_seconds: float = DEFAULT_GRACE_SECONDS,
    give_up: Collection[str] = (),
) -> CollectionPlan:
    """Remove what nothing reaches; return what was removed. See ``find_garbage``.

    Manifests go before the files that they name, so a collection that is cut off leaves no
    manifest without its files. A blob that was put again meanwhile stays.
    """
    garbage = find_garbage(store, grace_seconds, give_up)
    removed = [blob for blob in garbage.remove if store.remove(blob.digest, grace_seconds)]
    return replace(garbage, remove=tuple(removed))


def _named_in_slots(store: Store) -> set[str]:
    found: set[str] = set()
    keys = store.keys("")
    for key in sorted(set(keys) - _outlived(keys)):
        found |= digests_in(_said_at(store, key))
        found |= {f"sha256:{part}" for part in key.split("/") if _HEX.fullmatch(part)}
    return found


def _said_at(store: Store, key: str) -> bytes:
    """Return what a slot says: the payload of an envelope, else the bytes as they are."""
    data = store.read_key(key) or b""
    try:
        return parse_envelope(data, key).payload
    except CorruptError:
        return data  # of an older layout, or damaged: all that it names is kept


def _outlived(keys: Iterable[str]) -> set[str]:
    """Return the slots of states that no run will go on from."""
    parts = {key: key.split("/") for key in sorted(keys)}
    finished = {tuple(part[1:4:2]) for part in parts.values() if part[2:3] == ["attestations"]}
    states: dict[tuple[str, ...], list[str]] = {}
    for key, part in parts.items():
        if part[0] == PROJECTS and part[2:3] == [STATES] and len(part) == 5:
            states.setdefault((part[1], part[3]), []).append(key)
    return {
        key for run, slots in states.items() for key in (slots if run in finished else slots[:-1])
    }


def _reach(
    store: Store, roots: Iterable[str], blobs: dict[str, BlobState], damaged: set[str]
) -> set[str]:
    reached, todo = set(roots), list(roots)
    while todo:
        fresh = (_names(store, blobs[todo.pop()], damaged) & blobs.keys()) - reached
        reached |= fresh
        todo += fresh
    return reached


def _names(store: Store, blob: BlobState, damaged: set[str]) -> set[str]:
    """Return the digests that a blob names if it is a document.

    A damaged one is added to ``damaged`` and names nothing.
    """
    if blob.size > _DOCUMENT_BYTES:
        return set()
    try:
        return digests_in(store.get_bytes(blob.digest))
    except CorruptError:
        damaged.add(blob.digest)
        return set()
    except MissingBlobError:
        return set()  # another collection was faster
