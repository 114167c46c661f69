"""Reads the registry slot by slot, so that damage under one name hides no other name.

For lists and overviews. To act on one name, read it with ``Registry``, which refuses the name if
any part of it cannot be read.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import JsonValue, TypeAdapter

from lineage.errors import LineageError, UnreachableError
from lineage.records.record import Attestation, Records
from lineage.registry.known import KnownNames, known_names
from lineage.registry.names import Names, status_after
from lineage.registry.slots import Entry
from lineage.store.documents import to_json
from lineage.store.store import Store

_LOG = logging.getLogger(__name__)
UNKNOWN = "unknown"
"""Status of a version if its recalls cannot be read."""

_ENTRIES = TypeAdapter(list[Entry])

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
        if entry.version not in pointing.values():
            return []
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

    def add(self, other: "Survey") -> None:
        """Take in the names of another survey."""
        self.entries += other.entries
        self.aliases |= other.aliases
        self.statuses |= other.statuses
        self.problems += other.problems

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


def survey(store: Store, prefix: str = "", known: KnownNames | None = None) -> Survey:
    """Return the registered names that begin with ``prefix``, with their entries.

    What is ``known`` from an earlier list is not read again.
    """
    found = Survey()
    names = known.names if known else Names(store)
    for name in names.names():
        if not name.startswith(prefix):
            continue
        document = known.find(name) if known else None
        one = _name(names, name) if document is None else _parse(name, document)
        if known and document is None and one.entries and not one.problems:
            known.put(name, _dump(name, one))
        found.add(one)
    return found


def overview(store: Store) -> Survey:
    """Return all registered names; what this user's last list has verified is not read again."""
    with known_names(store) as known:
        return survey(store, known=known)


def _dump(name: str, one: Survey) -> JsonValue:
    """Return what was found under one name without a problem, as JSON."""
    statuses: list[JsonValue] = [one.status(entry) for entry in one.entries]
    entries = [to_json(entry) for entry in one.entries]
    return {"entries": entries, "aliases": {**one.aliases[name]}, "statuses": statuses}


def _parse(name: str, document: Any) -> Survey:  # noqa: ANN401 - JSON that ``_dump`` gave
    entries = _ENTRIES.validate_python(document["entries"])
    rows = zip(entries, document["statuses"], strict=True)
    statuses = {(name, entry.version): status for entry, status in rows}
    return Survey(entries, {name: document["aliases"]}, statuses)


def _name(names: Names, name: str) -> Survey:
    found = Survey()
    for number, entry in _versions(names, name, found):
        if (entry.name, entry.version) == (name, number):
            found.entries.append(entry)
        else:
            said = f"it says that it is {entry.name}@{entry.version}"
            found.problems.append(f"{name}@{number}: {said}")
    if not found.entries:
        return found
    found.aliases[name] = found.attempt(f"aliases of {name}", lambda: names.aliases(name), {})
    events = found.attempt(f"recalls of {name}", lambda: names.events(name), None)
    for entry in found.entries:
        status = UNKNOWN if events is None else status_after(events, entry.version)
        found.statuses[name, entry.version] = status
    return found


def _versions(names: Names, name: str, found: Survey) -> Iterator[tuple[int, Entry]]:
    """Yield the entries of a name with the numbers of their slots; damage in one hides no other."""
    slots = names.slots(name, "versions", Entry)
    for number in slots.numbers():
        entry = found.attempt(f"{name}@{number}", lambda n=number: slots.read(n), None)  # type: ignore[misc]
        if entry is not None:
            yield number, entry
