"""Withdraw a version after the fact, and find whom that concerns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lineage.checkpoint import checkpoint_behind
from lineage.errors import LineageError, UnreachableError
from lineage.graph import Lineage
from lineage.index import Row
from lineage.record import Records
from lineage.registry import Registry
from lineage.slots import Entry
from lineage.store import Store

_MODELS = {"checkpoint", "student", "release"}


@dataclass(frozen=True)
class Affected:
    """Something that descends from a recalled version."""

    record: str
    output: str
    """ "" where no statement of what the record gave can be read."""
    output_kind: str
    owner: str
    """Whom to tell: the owner of the registry entry, else of the record."""
    names: tuple[str, ...]
    """Registry versions of it, such as ``student.general@4``; empty where it has none."""


@dataclass(frozen=True)
class Recall:
    """A recall and what it concerns."""

    entry: Entry
    affected: tuple[Affected, ...]
    left_out: tuple[str, ...] = ()
    """What of the store could not be read: descendants may be missing because of it."""

    @property
    def owners(self) -> tuple[str, ...]:
        """Return everyone to tell, sorted."""
        return tuple(sorted({item.owner for item in self.affected if item.owner}))


def recall(store: Store, lineage: Lineage, reference: str, by: str, reason: str) -> Recall:
    """Recall the version that ``reference`` names; return what descends from it.

    From now on ``resolve`` refuses it and the record check refuses what descends from it. Doing it
    again changes nothing and lists anew.
    """
    registry = Registry(store)
    entry = registry.resolve(reference, allow_recalled=True)
    registry.recall(entry.name, entry.version, by=by, reason=reason)
    told = [f"{item.key}: {item.why}" for item in lineage.index.left_out]
    entries, unread = _entries_by_digest(registry)
    affected = _affected(store, lineage, entry, entries)
    return Recall(entry, affected, (*told, *unread))


def _affected(
    store: Store, lineage: Lineage, entry: Entry, entries: Mapping[str, Sequence[Entry]]
) -> tuple[Affected, ...]:
    """Return the models that descend from a registered version, through its release or directly.

    Who took the checkpoint without its release is found too: the search starts at everyone who
    used either of them. A statement that appends another output to a record hides nobody, because
    every output that was ever attested is listed, except the recalled bytes themselves.
    """
    index = lineage.index
    checkpoint = (
        checkpoint_behind(store, Records(store), entry.digest, entry.record)
        if entry.record
        else None
    )
    digests = {entry.digest, *([checkpoint.digest] if checkpoint else [])}
    starts = {user for digest in digests for user in index.users(digest)}
    found = starts.union(*(index.descendants(start) for start in starts))
    gave: dict[str, list[Row]] = {}
    for row in index.outputs(sorted(found)):
        gave.setdefault(row.digest, []).append(row)
    unread = {item.record for item in index.left_out}
    affected = [
        Affected(
            record=row.digest,
            output=row.output,
            output_kind=row.output_kind,
            owner=next((e.owner for e in entries.get(row.output, [])), row.owner),
            names=tuple(f"{e.name}@{e.version}" for e in entries.get(row.output, [])),
        )
        for record, rows in gave.items()
        for row in rows
        if row.output not in digests
        and (row.output_kind in _MODELS or (not row.output and record in unread))
    ]
    # The same bytes may have been made by several records: who is told needs them once.
    once = {
        item.output or item.record: item for item in sorted(affected, key=lambda item: item.record)
    }
    return tuple(sorted(once.values(), key=lambda item: (not item.names, item.names, item.record)))


def _entries_by_digest(registry: Registry) -> tuple[dict[str, list[Entry]], list[str]]:
    """Return what is registered by digest, and which names could not be read."""
    found: dict[str, list[Entry]] = {}
    unread = []
    for name in registry.names():
        try:
            entries = registry.versions(name)
        except UnreachableError:
            raise
        except LineageError as error:
            unread.append(f"registry/{name}: {error}")
            continue
        for entry in entries:
            found.setdefault(entry.digest, []).append(entry)
    return found, unread
