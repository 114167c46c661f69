"""The registry: names and versions of what teams share, as signed statements of their owners.

A version is a slot that is claimed once, so eight teams that release at the same moment get eight
versions. Alias moves, retirements and recalls are statements in numbered slots; nothing is edited.
Names: ``base``, ``fork-point``, ``teacher.<domain>``, ``student.general``.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal

from lineage.artifacts import Artifact
from lineage.digest import is_digest
from lineage.errors import (
    AmbiguousReferenceError,
    LineageError,
    NotEntitledError,
    RecalledError,
    UnknownReferenceError,
    UnreachableError,
)
from lineage.records.record import Records
from lineage.registry.names import Names, Reference, check_name, parse_reference, unknown
from lineage.registry.slots import Entry, Event, Move, NamedSlots
from lineage.registry.valid_recalls import Used, recalls_of
from lineage.store.store import Store

_ALIAS = re.compile(r"[a-z][a-z0-9_-]*")
LATEST = "latest"
"""Computed, never moved: the newest version that is neither recalled nor retired."""

__all__ = ["LATEST", "Entry", "Event", "Move", "Registry", "check_may_publish", "now"]


def now() -> str:
    """Return the time as registry and records write it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def check_may_publish(store: Store, name: str) -> None:
    """Raise an error unless the current key may register a name. Call it before any work is done.

    Raises:
        LineageError: for what cannot be a name.
        NotEntitledError: for a name of another team or of none, and for a key of no team.
        NoTrustRootError: for a store without a trust root.
    """
    check_name(name)
    Registry(store).own_slots(name)


class Registry(Names):
    """Names, versions and aliases of a store."""

    def __init__(self, store: Store, clock: Callable[[], str] = now) -> None:
        """Use the registry in ``store``; ``clock`` gives the times that are written."""
        super().__init__(store)
        self._clock = clock

    def register(self, name: str, artifact: Artifact, *, owner: str, note: str = "") -> Entry:
        """Append the next version of ``name``; the same digest again returns its entry.

        Raises:
            LineageError: for a bad name, no owner, and an artifact that the store or the records do
                not know.
            NotEntitledError: for a name that is not the author's.
            RecalledError: for content that was recalled.
        """
        check_name(name)
        if not owner:
            raise LineageError(f"{name} needs an owner to notify of a recall", code="no-owner")
        if not self.store.has(artifact.digest):
            missing = f"{artifact.digest} is not in the store: put it there first"
            raise LineageError(missing, code="missing-artifact")
        if artifact.record:
            Records(self.store).read(artifact.record)
        slots = self.own_slots(name)
        self.refuse_recalled([Used(artifact.digest, artifact.record, name)])

        def make(number: int, known: list[Entry]) -> Entry | None:
            if artifact.digest in {entry.digest for entry in known}:
                return None
            return Entry(
                name=name,
                version=number,
                kind=artifact.kind,
                digest=artifact.digest,
                record=artifact.record,
                owner=owner,
                created=self._clock(),
                note=note,
            )

        made = slots.append(make)
        return made or next(item for item in slots.all() if item.digest == artifact.digest)

    def own_slots(self, name: str) -> NamedSlots[Entry]:
        """Return the versions of a name that the author owns.

        Raises:
            NotEntitledError: for a name of another team or of none.
        """
        author, trust = self.journal.author, self.journal.trust
        assert trust is not None
        owner = trust.owner_of(name)
        if owner != author.team:
            raise NotEntitledError(
                f"{name} belongs to {owner or 'no team of the trust root'}, but you write as "
                f"{author.team}: a team can register only its own names. `provost trust show` "
                "lists them; a maintainer adds a name with `provost trust publish`"
            )
        return self.slots(name, "versions", Entry)

    def point(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        by: str,
        reason: str = "",
        expected: int | None = None,
    ) -> None:
        """Move an alias to a version. Moves are kept; the last one counts.

        Args:
            name: Name that has the alias.
            alias: Alias, such as ``released``.
            version: Version that the alias points at from now on.
            by: Person who requests the move.
            reason: Reason for the move.
            expected: Where the alias must point until now, 0 for nowhere; None for anywhere.

        Raises:
            LineageError: for a version that does not exist, is recalled or is retired, and for an
                alias that points elsewhere than expected.
        """
        if not _ALIAS.fullmatch(alias) or alias == LATEST:
            raise LineageError(
                f"alias {alias!r} is refused: use a lower-case word such as 'candidate' or "
                f"'released' (a digit first is a version; '{LATEST}' is computed)",
                code="bad-alias",
            )
        self.entry(name, version)
        status = self.status(name, version)
        if status != "active":
            raise LineageError(
                f"{name}@{version} is {status}: an alias cannot point at it; release a new version",
                code="not-active",
            )
        if self.aliases(name).get(alias) == version:
            return
        self.own_slots(name)
        at = self._clock()

        def make(_: int, known: list[Move]) -> Move:
            found = {move.alias: move.version for move in known}.get(alias, 0)
            if expected is not None and found != expected:
                raise LineageError(
                    f"{name}@{alias} now points at version {found or 'none'}, not at "
                    f"{expected or 'none'}: check `provost student moves`, then try again"
                )
            return Move(alias=alias, version=version, by=by, reason=reason, at=at)

        self.slots(name, "aliases", Move).append(make)

    def recall(self, name: str, version: int, *, by: str, reason: str) -> None:
        """Withdraw a version after the fact: ``resolve`` refuses it from now on."""
        if not reason:
            raise LineageError("a recall needs a reason that owners can act on", code="no-reason")
        self._append_event(name, version, "recall", by, reason)

    def retire(self, name: str, version: int, *, by: str, reason: str = "") -> None:
        """Stop offering a version: its aliases no longer resolve, its number still does."""
        self._append_event(name, version, "retire", by, reason)

    def resolve(self, reference: str, *, allow_recalled: bool = False) -> Entry:
        """Return the entry that a reference names.

        ``teacher.math@7``, ``math@released`` (short for ``teacher.math``), ``student@latest``,
        ``math`` (its ``released`` alias), ``sha256:...`` (what is registered under that digest).

        Raises:
            UnknownReferenceError: listing what exists.
            AmbiguousReferenceError: for a short name that matches several.
            RecalledError: unless recalled versions are allowed.
        """
        if is_digest(reference):
            entry = self._by_digest(reference)
        else:
            wanted = parse_reference(reference)
            name = self._full_name(wanted)
            entry = self.entry(name, self._version(name, wanted))
        if not allow_recalled:
            self.refuse_recalled([Used(entry.digest, entry.record, entry.name)])
        return entry

    def refuse_recalled(self, used: Iterable[Used]) -> None:
        """Refuse an artifact with a valid recall: see ``lineage.registry.valid_recalls``.

        Raises:
            RecalledError: with the person, date and reason of the recall.
            LineageError: if a name holds it and its recalls cannot be read.
        """
        for entry, event in recalls_of(self, used).values():
            raise RecalledError(
                f"{entry.name}@{entry.version} was recalled by {event.by} on {event.at[:10]}: "
                f"{event.reason}. Choose another version; `provost teacher list` shows them"
            )

    def _append_event(
        self, name: str, version: int, action: Literal["recall", "retire"], by: str, reason: str
    ) -> None:
        self.entry(name, version)
        if any(item.action == action and item.version == version for item in self.events(name)):
            return
        self.own_slots(name)
        at = self._clock()
        self.slots(name, "events", Event).append(
            lambda _, __: Event(action=action, version=version, by=by, reason=reason, at=at)
        )

    def _full_name(self, wanted: Reference) -> str:
        names = self.names()
        found = [name for name in wanted.candidates if name in names]
        if len(found) > 1:
            raise AmbiguousReferenceError(
                f"{wanted.text!r} can mean {' or '.join(found)}: write the full name"
            )
        if not found:
            raise unknown(wanted, names)
        return found[0]

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
                f"name a version ({name}@{entries[-1].version}) or move the alias",
                code="no-alias",
            )
        version = aliases[wanted.alias]
        if self.status(name, version) == "retired":
            raise UnknownReferenceError(
                f"{name}@{wanted.alias} is version {version}, which is retired; name it as "
                f"{name}@{version} if you want that version, or wait for the team's next release",
                code="retired",
            )
        return version

    def _by_digest(self, digest: str) -> Entry:
        """Return the entry of a digest: first of who made it, then of anybody who registered it.

        Raises:
            UnknownReferenceError: for a digest that no name has.
            AmbiguousReferenceError: for one that several others have made and registered.
        """
        found = [
            entry
            for name in self.names()
            for entry in self.readable(name)
            if entry.digest == digest
        ]
        if not found:
            raise UnknownReferenceError(
                f"{digest} is not registered under any of {self.names()}: register it, or "
                "inspect it with `provost lineage show`",
                code="not-registered",
            )
        by_makers = [entry for entry in found if self._is_of_its_maker(entry)]
        if len({self.project_of(entry.name) for entry in by_makers}) > 1:
            own, several = self.journal.own_project(), by_makers
            by_makers = [entry for entry in several if self.project_of(entry.name) == own]
            if not by_makers:
                meant = ", ".join(sorted(f"{entry.name}@{entry.version}" for entry in several))
                raise AmbiguousReferenceError(
                    f"{digest} was made and registered by several projects: write one of {meant}"
                )
        return max(by_makers or found, key=lambda entry: entry.version)

    def _is_of_its_maker(self, entry: Entry) -> bool:
        if not entry.record:
            return False
        records, project = Records(self.store), self.project_of(entry.name)
        try:
            made = records.read(entry.record).project == project
            outputs = {said.output for said in records.attestations(entry.record)} if made else ()
        except UnreachableError:
            raise
        except LineageError:
            return False  # what is wrong with it is for who reads it
        return entry.digest in outputs
