"""Recalls: which of them count, and for what.

A recall is stated under a name, by its owner. It counts for that name, and beyond it for what the
owner's own project made: the same record, or the same bytes registered without a record.
So an owner withdraws a version wherever it went, but cannot withdraw the work of others by
registering it under a second name.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from lineage.errors import LineageError, MissingBlobError, UnreachableError
from lineage.records.record import Records
from lineage.registry.names import Names
from lineage.registry.slots import Entry, Event

_LOG = logging.getLogger(__name__)
OLDER = "<older>"


@dataclass(frozen=True)
class Used:
    """An artifact that is about to be used."""

    digest: str
    record: str = ""
    """Record that made it; "" for a raw input."""
    name: str = ""
    """Name in the request; "" for a request by digest."""


def recalls_of(names: Names, used: Iterable[Used]) -> dict[Used, tuple[Entry, Event]]:
    """Return which of ``used`` are recalled, each with the recall.

    If the recalls of a name cannot be read, only that is refused which they could withdraw.

    Raises:
        LineageError: if a recall under a name could count for one of ``used``, and the recalls of
            that name cannot be read.
    """
    asked = list(dict.fromkeys(used))
    found: dict[Used, tuple[Entry, Event]] = {}
    for name in names.names():
        try:
            recalled = _recalled(names, name)
        except UnreachableError:
            raise
        except LineageError as error:
            if any(_could_concern(names, name, item) for item in asked):
                raise
            _LOG.warning("the recalls of %s cannot be read and do not count: %s", name, error)
            continue
        for entry, event in recalled:
            for item in asked:
                if item not in found and _concerns(names, entry, item):
                    found[item] = entry, event
    return found


def all_recalls(names: Names) -> list[tuple[Entry, Event]]:
    """Return every recalled version with its recall, by name; unreadable names are left out."""
    found: list[tuple[Entry, Event]] = []
    for name in names.names():
        try:
            found += _recalled(names, name)
        except LineageError as error:
            _LOG.warning("the recalls of %s cannot be read and do not count: %s", name, error)
    return found


def _recalled(names: Names, name: str) -> list[tuple[Entry, Event]]:
    events = [event for event in names.events(name) if event.action == "recall"]
    return [
        (names.entry(name, event.version), event)
        for event in sorted(events, key=lambda event: event.version)
    ]


def _could_concern(names: Names, name: str, item: Used) -> bool:
    """Return whether any recall under a name could count for something that is used."""
    return item.name == name or any(_concerns(names, entry, item) for entry in names.readable(name))


def _concerns(names: Names, recalled: Entry, item: Used) -> bool:
    """Return whether the recall of a version counts for something that is used.

    Raises:
        LineageError: if the record that made both cannot be read.
    """
    if recalled.digest != item.digest:
        return False
    if item.name == recalled.name or names.journal.trust is None:
        return True
    owner = names.project_of(recalled.name)
    if item.name and names.project_of(item.name) == owner:
        return True
    if item.record not in {"", recalled.record}:
        return False
    try:
        return _maker(names, recalled, owner) in {owner, OLDER}
    except LineageError as error:
        if item.record or isinstance(error, UnreachableError):
            raise
        # A team's own damaged record proves nothing about the bytes of others.
        at = f"{recalled.name}@{recalled.version}"
        _LOG.warning("%s proves no maker, so its recall does not count: %s", at, error)
        return False


def _maker(names: Names, entry: Entry, owner: str) -> str:
    """Return the project that made what a version names; "" where none did.

    OLDER for a version from before there were projects, which a maintainer has adopted. The
    attestations of a project other than ``owner`` are not read: its name is answer enough.
    """
    if not entry.record:
        return ""
    records = Records(names.store)
    try:
        derivation = records.read(entry.record)
    except MissingBlobError:
        return ""
    if not derivation.project:
        is_older = names.slots(entry.name, "versions", Entry).is_older(entry.version)
        return OLDER if is_older else ""
    if derivation.project != owner:
        return derivation.project
    outputs = {item.output for item in records.attestations(entry.record)}
    return derivation.project if entry.digest in outputs else ""
