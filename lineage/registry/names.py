"""Names: the references that people type, the entries of a name, and who vouches for them.

A name has one owner, which the trust root states. Entries are read from the project of that owner
alone; entries of another project under the same name are not read.
"""

import difflib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lineage.errors import (
    LineageError,
    NotEntitledError,
    UnknownReferenceError,
    UnreachableError,
)
from lineage.registry.slots import Entry, Event, Move, Named, NamedSlots
from lineage.store.store import Store
from lineage.trust.journal import Journal, StatementReader
from lineage.trust.older import Older
from lineage.trust.statement import prefix_of

TEACHER = "teacher."
STUDENT = "student."
RELEASED = "released"
MOST_DIGITS = 8


@dataclass(frozen=True)
class Reference:
    """A parsed reference: the names it can mean, and a version or an alias."""

    text: str
    candidates: tuple[str, ...]
    version: int | None
    alias: str


def parse_reference(text: str) -> Reference:
    """Split ``name@version`` or ``name@alias``; a bare name means its ``released`` alias."""
    name, separator, selector = text.partition("@")
    if not name or (separator and not selector):
        raise LineageError(
            f"reference {text!r} is incomplete: write name@version or name@alias, such as "
            "math@released, or a digest sha256:...",
            code="incomplete-reference",
        )
    if name == "student":
        candidates: tuple[str, ...] = ("student.general",)
    else:
        candidates = (name,) if "." in name else (name, TEACHER + name)
    if selector.isdecimal():
        return Reference(text, candidates, _version(selector), "")
    return Reference(text, candidates, None, selector or RELEASED)


def _version(digits: str) -> int:
    """Return a version; the slots of versions have eight digits."""
    if len(digits) > MOST_DIGITS:
        raise UnknownReferenceError(
            f"a version has at most {MOST_DIGITS} digits, not {len(digits)}"
        )
    return int(digits)


def unknown(wanted: Reference, names: list[str]) -> UnknownReferenceError:
    """Return the error for an unregistered name, with the nearest registered one."""
    asked = wanted.candidates[0]
    if asked.startswith("sha256:"):
        return UnknownReferenceError(
            f"{asked!r} is not a complete digest: write sha256: and its 64 hex digits, or at least "
            "its first six digits without sha256:"
        )
    short = {name.removeprefix(TEACHER): name for name in names}
    known = [*short, "student"] if f"{STUDENT}general" in names else [*short]
    near = difflib.get_close_matches(asked.removeprefix(TEACHER), known, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else "."
    listed = ", ".join(sorted(short)) or "nothing yet"
    return UnknownReferenceError(
        f"unknown {_kind(asked)} {asked.removeprefix(TEACHER)!r}{guess} Registered: {listed}. "
        f"See {listing(asked)}"
    )


def _kind(name: str) -> str:
    """Return what a name would be of; one without a prefix may be anything."""
    kinds = {TEACHER: "teacher", STUDENT: "student"}
    return next((kind for start, kind in kinds.items() if name.startswith(start)), "name")


def listing(name: str) -> str:
    """Return the command that lists the registered names like this one."""
    if name.startswith(STUDENT):
        return "`provost student list`"
    teachers = "`provost teacher list`"
    return teachers if name.startswith(TEACHER) else f"{teachers} and `provost student list`"


_LOG = logging.getLogger(__name__)
REGISTRY = "registry"
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_MAX_NAME = 128


def check_name(name: str) -> None:
    """Raise LineageError unless ``name`` can be a registry name."""
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise LineageError(
            f"name {name[:_MAX_NAME]!r} is refused: use up to {_MAX_NAME} lowercase letters and "
            "digits, with '-', '_' or '.' between them, as in 'teacher.math'",
            code="bad-name",
        )


Status = Literal["active", "retired", "recalled"]


def status_after(events: Iterable[Event], version: int) -> Status:
    """Return whether a version may be used after the events of its name."""
    actions = {event.action for event in events if event.version == version}
    if "recall" in actions:
        return "recalled"
    return "retired" if "retire" in actions else "active"


class Names:
    """The names of a store, with their versions, aliases and events."""

    def __init__(self, store: Store, reader: StatementReader | None = None) -> None:
        """Read the names in ``store``; a list of many may take a ``reader`` of its own."""
        self.store = store
        self.journal = Journal(store, reader)
        self.older = Older(self.journal)

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        found = {key.split("/")[1] for key in self.older.keys(REGISTRY)}
        for project in self.journal.projects:
            below = self.journal.reader.folders(prefix_of(project, REGISTRY))
            found |= {name for name in below if self.project_of(name) == project}
        return sorted(name for name in found if _NAME.fullmatch(name))

    def project_of(self, name: str) -> str:
        """Return the project of the team that owns a name; "" if no team owns it."""
        trust = self.journal.trust
        return trust.project_of(trust.owner_of(name)) if trust else ""

    def versions(self, name: str) -> list[Entry]:
        """Return a name's entries, version 1 first."""
        return self.slots(name, "versions", Entry).all()

    def readable(self, name: str) -> list[Entry]:
        """Return those of a name's entries that can be read: damage in one hides no other."""
        slots = self.slots(name, "versions", Entry)
        found = []
        for number in slots.numbers():
            try:
                entry = slots.read(number)
            except UnreachableError:
                raise
            except LineageError as error:
                _LOG.warning("%s@%d cannot be read and is left out: %s", name, number, error)
                continue
            if entry is not None:
                found.append(entry)
        return found

    def aliases(self, name: str) -> dict[str, int]:
        """Return where each alias of a name points now."""
        return {move.alias: move.version for move in self.moves(name)}

    def moves(self, name: str) -> list[Move]:
        """Return every alias move of a name, first one first."""
        return self.slots(name, "aliases", Move).all()

    def events(self, name: str) -> list[Event]:
        """Return every recall and retirement of a name, first one first."""
        return self.slots(name, "events", Event).all()

    def status(self, name: str, version: int) -> Status:
        """Say whether a version may be used; a recall outlasts everything."""
        return status_after(self.events(name), version)

    def entry(self, name: str, version: int) -> Entry:
        """Return one version of a name.

        Raises:
            UnknownReferenceError: where it has no such version.
        """
        slots = self.slots(name, "versions", Entry)
        entry = slots.read(version)
        if entry is None:
            known = [item.version for item in slots.all()]
            raise UnknownReferenceError(
                f"{name} has no version {version}: it has {known or 'none'}; see {listing(name)}",
                code="no-version",
            )
        if (entry.name, entry.version) != (name, version):
            raise NotEntitledError(
                f"the slot of {name}@{version} holds {entry.name}@{entry.version}: it was moved or "
                "replaced; restore it from a copy of the store"
            )
        return entry

    def slots(self, name: str, part: str, model: type[Named]) -> NamedSlots[Named]:
        """Return the slots of one part of a name: versions, aliases or events."""
        path = f"{REGISTRY}/{name}/{part}"
        return NamedSlots(self.journal, self.older, self.project_of(name), path, model)


@dataclass(frozen=True)
class Signature:
    """Who vouches for an entry."""

    entry: str
    """``teacher.math@3``."""
    state: Literal["signed", "adopted", "unsigned"]
    """Signed by its owner; adopted by a maintainer with all older statements; or unsigned."""
    team: str = ""
    why: str = ""
    """What is missing, and the remedy."""


def signature_of(names: Names, entry: Entry) -> Signature:
    """Return who vouches for an entry that was read: what is read and signed was checked then."""
    subject = f"{entry.name}@{entry.version}"
    trust = names.journal.trust
    if trust is None:
        why = "the store has no trust root; `provost lineage adopt` gives it one"
        return Signature(subject, "unsigned", why=why)
    if names.slots(entry.name, "versions", Entry).is_older(entry.version):
        return Signature(subject, "adopted", why="it was there before the trust root")
    return Signature(subject, "signed", trust.owner_of(entry.name))
