"""Reads the registry slot by slot, so that damage under one name hides no other name.

For lists and overviews. To act on one name, read it with ``Registry``, which refuses the name if
any part of it cannot be read.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from lineage.errors import LineageError, UnreachableError
from lineage.records.record import Attestation, Records
from lineage.registry.names import status_after
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry
from lineage.store.store import Store

_LOG = logging.getLogger(__name__)
UNKNOWN = "unknown"
"""Status of a version if its recalls cannot be read."""

Found = TypeVar("Found")


@dataclass
class Survey:
    """The readable entries of some names, and what could not be read."""

    entries: list[Entry] = field(default_factory=list)
    aliases: dict[str, dict[str, int]] = field(default_factory=dict)
    """Aliases by name; a name with unreadable moves is left out."""
    statuses: dict[tuple[str, int], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def pointing_at(self, entry: Entry) -> list[str]:
        """Return the aliases that lead to an entry, sorted."""
        pointing = self.aliases.get(entry.name, {})
        return sorted(alias for alias, version in pointing.items() if version == entry.version)

    def status(self, entry: Entry) -> str:
        """Return active, retired, recalled or unknown."""
        return self.statuses[entry.name, entry.version]

    def attempt(self, what: str, read: Callable[[], Found], otherwise: Found) -> Found:
        """Return the result of ``read``; if it fails, note that and return ``otherwise``.

        Raises:
            UnreachableError: where the store does not answer, which says nothing of what is in it.
        """
        try:
            return read()
        except UnreachableError:
            raise
        except LineageError as error:
            self.problems.append(f"{what}: {error}")
            return otherwise

    def by_digest(self) -> dict[str, list[Entry]]:
        """Return the entries by what they name."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.digest, []).append(entry)
        return found


def readable_attestations(records: Records, record: str) -> list[Attestation]:
    """Return a record's attestations; none of it where one cannot be read, which is logged.

    For questions about the records of all projects, which no project may stop.
    """
    try:
        return records.attestations(record)
    except UnreachableError:
        raise
    except LineageError as error:
        _LOG.warning("record %s cannot be read and is left out: %s", record, error)
        return []


def survey(store: Store, prefix: str = "") -> Survey:
    """Return the registered names that begin with ``prefix``, with their entries."""
    registry, found = Registry(store), Survey()
    for name in registry.names():
        if name.startswith(prefix):
            _name(registry, name, found)
    return found


def _name(registry: Registry, name: str, found: Survey) -> None:
    slots = registry.slots(name, "versions", Entry)
    entries = []
    for number in slots.numbers():
        what = f"{name}@{number}"
        entry = found.attempt(what, lambda number=number: slots.read(number), None)  # type: ignore[misc]
        if entry is not None and (entry.name, entry.version) != (name, number):
            found.problems.append(f"{what}: it says that it is {entry.name}@{entry.version}")
        elif entry is not None:
            entries.append(entry)
    if not entries:
        return
    found.entries += entries
    found.aliases[name] = found.attempt(f"aliases of {name}", lambda: registry.aliases(name), {})
    recalls = f"recalls of {name}"
    events = found.attempt(recalls, lambda: registry.events(name), None)
    for entry in entries:
        status = UNKNOWN if events is None else status_after(events, entry.version)
        found.statuses[name, entry.version] = status
