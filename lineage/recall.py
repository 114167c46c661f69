"""Withdraw a version after the fact, and find whom that concerns."""

from dataclasses import dataclass

from lineage.checkpoint import checkpoint_behind
from lineage.graph import Lineage
from lineage.record import Records
from lineage.registry import Registry
from lineage.slots import Entry
from lineage.store import Store


@dataclass(frozen=True)
class Affected:
    """Something that descends from a recalled version."""

    record: str
    output: str
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
    return Recall(entry, descendants_of(store, lineage, entry))


def descendants_of(store: Store, lineage: Lineage, entry: Entry) -> tuple[Affected, ...]:
    """Return the models that descend from a registered version, through its release or directly.

    Who took the checkpoint without its release is found too: the search starts at everyone who
    used either of them.
    """
    index = lineage.index
    checkpoint = (
        checkpoint_behind(store, Records(store), entry.digest, entry.record)
        if entry.record
        else None
    )
    digests = {entry.digest, *([checkpoint.digest] if checkpoint else [])}
    starts = {user for digest in digests for user in index.users(digest)}
    own = {maker for digest in digests for maker in index.makers(digest)}
    found = starts.union(*(index.descendants(start) for start in starts)) - own
    entries = _entries_by_digest(Registry(store))
    rows = [
        row
        for row in index.rows(sorted(found))
        if row.output_kind in {"checkpoint", "student", "release"}
    ]
    affected = [
        Affected(
            record=row.digest,
            output=row.output,
            output_kind=row.output_kind,
            owner=next((e.owner for e in entries.get(row.output, [])), row.owner),
            names=tuple(f"{e.name}@{e.version}" for e in entries.get(row.output, [])),
        )
        for row in rows
    ]
    # The same bytes may have been made by several records: who is told needs them once.
    once = {item.output: item for item in sorted(affected, key=lambda item: item.record)}
    return tuple(sorted(once.values(), key=lambda item: (not item.names, item.names, item.record)))


def _entries_by_digest(registry: Registry) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for name in registry.names():
        for entry in registry.versions(name):
            found.setdefault(entry.digest, []).append(entry)
    return found
