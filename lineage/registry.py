"""The registry: names and versions of what teams share, as append-only records in the store.

A version is a slot that is claimed once, so eight teams that release at the same moment get eight
versions. Alias moves, retirements and recalls are events in numbered slots; nothing is edited.
Names: ``base``, ``fork-point``, ``teacher.<domain>``, ``student.general``.
"""

import logging
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal

from lineage.artifacts import Artifact
from lineage.digest import is_digest
from lineage.documents import seal, to_json
from lineage.errors import LineageError, RecalledError, UnknownReferenceError
from lineage.record import Records
from lineage.reference import Reference, listing, parse_reference, unknown
from lineage.slots import Entry, Event, Move, Slots
from lineage.store import Store

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_ALIAS = re.compile(r"[a-z][a-z0-9_-]*")
LATEST = "latest"
"""Computed, never moved: the newest version that is neither recalled nor retired."""

__all__ = ["LATEST", "Entry", "Event", "Move", "Registry", "now"]


def now() -> str:
    """Return the time as registry and records write it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def check_name(name: str) -> None:
    """Raise LineageError for what cannot be a name in the registry."""
    if not _NAME.fullmatch(name):
        raise LineageError(
            f"name {name!r} is refused: use small letters and digits, with '-', '_' or '.' between "
            "them, as in 'teacher.math'"
        )


class Registry:
    """Names, versions and aliases of a store."""

    def __init__(self, store: Store, clock: Callable[[], str] = now) -> None:
        """Use the registry in ``store``; ``clock`` gives the times that are written."""
        self._store = store
        self._clock = clock

    def register(self, name: str, artifact: Artifact, *, owner: str, note: str = "") -> Entry:
        """Append the next version of ``name``; the same digest again returns its entry.

        Raises LineageError for a bad name, no owner, an artifact that the store or the records do
        not know, and content that was recalled.
        """
        self._check(name, artifact, owner)
        self.refuse_recalled(artifact.digest)
        slots = self._slots(name, "versions")
        known = slots.all(Entry)
        while True:
            for entry in known:
                if entry.digest == artifact.digest:
                    return entry
            entry = Entry(
                name=name,
                version=len(known) + 1,
                kind=artifact.kind,
                digest=artifact.digest,
                record=artifact.record,
                owner=owner,
                created=self._clock(),
                note=note,
            )
            key = f"{slots.prefix}/{entry.version:08d}"
            if self._store.claim(key, seal(to_json(entry))):
                return entry
            known = [*known, self._entry(name, entry.version)]  # another team was first

    def point(self, name: str, alias: str, version: int, *, by: str, reason: str = "") -> None:
        """Move an alias to a version. Moves are kept; the last one counts.

        Raises LineageError for a version that does not exist, is recalled or is retired.
        """
        if not _ALIAS.fullmatch(alias) or alias == LATEST:
            raise LineageError(
                f"alias {alias!r} is refused: use a lower-case word such as 'candidate' or "
                f"'released' (a digit first is a version; '{LATEST}' is computed)"
            )
        self._entry(name, version)
        status = self.status(name, version)
        if status != "active":
            raise LineageError(
                f"{name}@{version} is {status}: an alias cannot point at it; release a new version"
            )
        if self.aliases(name).get(alias) == version:
            return
        at = self._clock()
        self._slots(name, "aliases").append(
            lambda _: Move(alias=alias, version=version, by=by, reason=reason, at=at)
        )

    def recall(self, name: str, version: int, *, by: str, reason: str) -> None:
        """Withdraw a version after the fact: ``resolve`` refuses it from now on."""
        self._append_event(name, version, "recall", by, reason)

    def retire(self, name: str, version: int, *, by: str, reason: str = "") -> None:
        """Stop offering a version: its aliases no longer resolve, its number still does."""
        self._append_event(name, version, "retire", by, reason)

    def status(self, name: str, version: int) -> Literal["active", "retired", "recalled"]:
        """Say whether a version may be used; a recall outlasts everything."""
        actions = {event.action for event in self.events(name) if event.version == version}
        if "recall" in actions:
            return "recalled"
        return "retired" if "retire" in actions else "active"

    def resolve(self, reference: str, *, allow_recalled: bool = False) -> Entry:
        """Return the entry that a reference names.

        ``teacher.math@7``, ``math@released`` (short for ``teacher.math``), ``student@latest``,
        ``math`` (its ``released`` alias), ``sha256:...`` (what is registered under that digest).
        Raises UnknownReferenceError listing what exists, and RecalledError.
        """
        if is_digest(reference):
            entry = self._by_digest(reference)
        else:
            wanted = parse_reference(reference)
            name = self._full_name(wanted)
            entry = self._entry(name, self._version(name, wanted))
        if not allow_recalled:
            self.refuse_recalled(entry.digest)
        return entry

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        return sorted({key.split("/")[1] for key in self._store.keys("registry")})

    def versions(self, name: str) -> list[Entry]:
        """Return a name's entries, version 1 first."""
        return self._slots(name, "versions").all(Entry)

    def aliases(self, name: str) -> dict[str, int]:
        """Return where each alias of a name points now."""
        return {move.alias: move.version for move in self.moves(name)}

    def moves(self, name: str) -> list[Move]:
        """Return every alias move of a name, first one first."""
        return self._slots(name, "aliases").all(Move)

    def events(self, name: str) -> list[Event]:
        """Return every recall and retirement of a name, first one first."""
        return self._slots(name, "events").all(Event)

    def recalls(self) -> list[tuple[Entry, Event]]:
        """Return every recalled version with its recall, by name and version.

        A name whose recalls cannot be read is left out with a warning: one bad slot must not stop
        the use of every other name. ``recalls_of`` refuses what that name holds.
        """
        return self._readable_recalls(frozenset())

    def recalls_of(self, digests: Iterable[str]) -> dict[str, tuple[Entry, Event]]:
        """Return which of ``digests`` are recalled, under whatever name, each with its recall.

        Raises:
            LineageError: where the recalls of a name that holds one of them cannot be read.
        """
        asked = frozenset(digests)
        recalls = self._readable_recalls(asked)
        return {entry.digest: (entry, event) for entry, event in recalls if entry.digest in asked}

    def _readable_recalls(self, needed: frozenset[str]) -> list[tuple[Entry, Event]]:
        """Return the recalls of all names that can be read; fail where another holds ``needed``."""
        found: list[tuple[Entry, Event]] = []
        for name in self.names():
            try:
                found += self._recalls_of(name)
            except LineageError as error:
                if needed and self._holds(name, needed):
                    raise
                _LOG.warning("the recalls of %s cannot be read and do not count: %s", name, error)
        return found

    def _holds(self, name: str, digests: frozenset[str]) -> bool:
        """Return whether a readable version of a name has one of the digests."""
        slots = self._slots(name, "versions")
        for number in slots.numbers():
            try:
                entry = slots.read(number, Entry)
            except LineageError:
                continue  # damage in one version hides no other
            if entry is not None and entry.digest in digests:
                return True
        return False

    def _recalls_of(self, name: str) -> list[tuple[Entry, Event]]:
        events = sorted(self.events(name), key=lambda event: event.version)
        return [
            (self._entry(name, event.version), event)
            for event in events
            if event.action == "recall"
        ]

    def _slots(self, name: str, part: str) -> Slots:
        return Slots(self._store, f"registry/{name}/{part}")

    def _check(self, name: str, artifact: Artifact, owner: str) -> None:
        check_name(name)
        if not owner:
            raise LineageError(f"{name} needs an owner: whom would a recall be told?")
        if not self._store.has(artifact.digest):
            raise LineageError(f"{artifact.digest} is not in the store: put it there first")
        if artifact.record:
            Records(self._store).read(artifact.record)

    def _append_event(
        self, name: str, version: int, action: Literal["recall", "retire"], by: str, reason: str
    ) -> None:
        self._entry(name, version)
        if action == "recall" and not reason:
            raise LineageError("a recall needs a reason: the owners of descendants will ask")
        if any(item.action == action and item.version == version for item in self.events(name)):
            return
        at = self._clock()
        self._slots(name, "events").append(
            lambda _: Event(action=action, version=version, by=by, reason=reason, at=at)
        )

    def _full_name(self, wanted: Reference) -> str:
        names = self.names()
        for name in wanted.candidates:
            if name in names:
                return name
        raise unknown(wanted, names)

    def _version(self, name: str, wanted: Reference) -> int:
        if wanted.version is not None:
            return wanted.version
        entries, aliases = self.versions(name), self.aliases(name)
        if wanted.alias == LATEST:
            usable = [e.version for e in entries if self.status(name, e.version) == "active"]
            aliases = {LATEST: usable[-1]} if usable else {}
        if wanted.alias not in aliases:
            raise UnknownReferenceError(
                f"{name} has no {wanted.alias!r}: it has versions "
                f"{[entry.version for entry in entries]} and aliases {sorted(aliases.items())}; "
                f"name a version ({name}@{entries[-1].version}) or move the alias"
            )
        version = aliases[wanted.alias]
        if self.status(name, version) == "retired":
            raise UnknownReferenceError(
                f"{name}@{wanted.alias} is version {version}, which is retired; name it as "
                f"{name}@{version} if you mean it, or wait for the team's next release"
            )
        return version

    def _entry(self, name: str, version: int) -> Entry:
        entry = self._slots(name, "versions").read(version, Entry)
        if entry is None:
            known = [item.version for item in self.versions(name)]
            raise UnknownReferenceError(
                f"{name} has no version {version}: it has {known or 'none'}; see {listing(name)}"
            )
        return entry

    def _by_digest(self, digest: str) -> Entry:
        for name in self.names():
            try:
                entries = self.versions(name)
            except LineageError as error:
                _LOG.warning("the versions of %s cannot be read and are left out: %s", name, error)
                continue
            for entry in reversed(entries):
                if entry.digest == digest:
                    return entry
        raise UnknownReferenceError(
            f"{digest} is not registered under any of {self.names()}: register it, or ask the "
            "graph what it is (`provost lineage show`)"
        )

    def refuse_recalled(self, digest: str) -> None:
        """Refuse content that was recalled, under whatever name it was registered since.

        Raises:
            RecalledError: saying by whom, when and why.
            LineageError: where the recalls of a name that holds it cannot be read.
        """
        for entry, event in self.recalls_of([digest]).values():
            raise RecalledError(
                f"{entry.name}@{entry.version} was recalled by {event.by} on {event.at[:10]}: "
                f"{event.reason}. Choose another version; `provost teacher list` shows them"
            )
