"""The journal: every signed statement of a store, in numbered slots below its project.

``projects/<project>/<path>/00000001`` and on. A slot is claimed once and names the one before it,
so that nothing is edited and a slot that is missing in between is seen. What counts: a statement
signed by a key of the project's team that is in effect, or that such a key has endorsed since.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Generic, Protocol

from lineage.artifacts import Digest
from lineage.errors import BadKeyError, CorruptError, NotEntitledError
from lineage.store.store import Store
from lineage.trust.author import Author, author_of
from lineage.trust.chain import read_chain, slot_numbers
from lineage.trust.root import TrustRoot
from lineage.trust.statement import (
    Document,
    Stated,
    Statement,
    StatementPlace,
    make_statement,
    prefix_of,
    read_statement,
)

PROJECTS = "projects"
ENDORSEMENTS = "endorsements"


class Endorsement(Stated):
    """A team's word that what its own keys stated up to now counts, whatever becomes of them."""

    predicate_type: ClassVar[str] = "urn:provost:endorsement:1"

    inventory: Digest
    """Digest of a JSON blob that maps each slot of the project to the digest of its bytes."""
    reason: str


class StatementReader(Protocol):
    """Gives the slots of a store and the statements in them."""

    def keys(self, prefix: str) -> list[str]:
        """Return the claimed keys below ``prefix``, sorted."""

    def folders(self, prefix: str) -> set[str]:
        """Return the names of what lies directly below ``prefix``."""

    def statement(
        self, key: str, model: type[Document], trust: TrustRoot
    ) -> Statement[Document] | None:
        """Return the statement in a slot, checked by itself; None where the slot is free."""


@dataclass(frozen=True)
class StoreReader:
    """Reads every statement from the store, and checks its signature."""

    store: Store

    def keys(self, prefix: str) -> list[str]:
        """See StatementReader."""
        return self.store.keys(prefix)

    def folders(self, prefix: str) -> set[str]:
        """See StatementReader."""
        keys = self.store.keys(prefix)
        return {key.removeprefix(f"{prefix}/").partition("/")[0] for key in keys}

    def statement(
        self, key: str, model: type[Document], trust: TrustRoot
    ) -> Statement[Document] | None:
        """See StatementReader."""
        data = self.store.read_key(key)
        return None if data is None else read_statement(data, key, model, trust)


class Journal:
    """The statements of one store, with the trust root by which they count."""

    def __init__(self, store: Store, reader: StatementReader | None = None) -> None:
        """Read the trust root when it is needed first.

        Args:
            store: The store.
            reader: Reader of statements for a list of many; by default all are read anew.
        """
        self.store = store
        self.reader = reader or StoreReader(store)
        self._trust: TrustRoot | None = None
        self._is_read = False
        self._endorsed: dict[str, dict[str, str]] = {}

    @property
    def trust(self) -> TrustRoot | None:
        """The trust root; None for a store that was made before statements were signed."""
        if not self._is_read:
            self._trust, self._is_read = read_chain(self.store), True
        return self._trust

    @property
    def author(self) -> Author:
        """Who writes here. A new folder store gets its trust root now; see ``author_of``."""
        author, trust = author_of(self.store, read_chain(self.store))
        self._trust, self._is_read = trust, True
        return author

    def own_project(self) -> str:
        """Return the project for which this process's key may write; "" without one."""
        if self.trust is None:
            return ""
        try:
            return self.author.project
        except (NotEntitledError, BadKeyError):
            return ""

    @property
    def projects(self) -> tuple[str, ...]:
        """Projects that may make valid statements, sorted."""
        return tuple(self.trust.projects) if self.trust else ()

    def slots(self, project: str, path: str, model: type[Document]) -> "Slots[Document]":
        """Return the slots of a project at ``path``."""
        return Slots(self, project, path, model)

    def counts(self, statement: Statement[Document]) -> str:
        """Return why a statement does not count; "" if it counts."""
        problem = statement.key.why_not()
        if not problem:
            return ""
        project = statement.slot.split("/")[1]
        if project not in self._endorsed:
            self._endorsed[project] = self._endorsements(project)
        if self._endorsed[project].get(statement.slot) == statement.digest:
            return ""
        return f"{statement.team} signed it, but {problem}, and no key in effect has endorsed it"

    def _endorsements(self, project: str) -> dict[str, str]:
        """Return key to digest of all that keys in effect have endorsed."""
        found: dict[str, str] = {}
        for statement in self.slots(project, ENDORSEMENTS, Endorsement).all(retired=True):
            if not statement.key.why_not():
                found |= read_inventory(self.store, statement.body.inventory)
        return found


@dataclass(frozen=True)
class Slots(Generic[Document]):
    """A numbered sequence of statements, 1, 2, 3 ..., that is only appended to."""

    journal: Journal
    project: str
    path: str
    model: type[Document]
    first: int = 1
    """Number of the first slot, after those of an older layout."""
    before: str = ""
    """Digest of the slot before the first."""

    @property
    def prefix(self) -> str:
        """Prefix of the keys."""
        return prefix_of(self.project, self.path)

    def numbers(self) -> list[int]:
        """Return the numbers that are claimed, sorted."""
        return slot_numbers(self.journal.reader, self.prefix)

    def read(self, number: int, *, retired: bool = False) -> Statement[Document] | None:
        """Return one statement, or None where the slot is free. The chain is not checked.

        Args:
            number: Number of the slot.
            retired: Whether the statement of a key that is out of effect is returned too.

        Raises:
            CorruptError: for a slot that holds anything but a statement.
            NotEntitledError: for a statement that does not count.
        """
        key = f"{self.prefix}/{number:08d}"
        trust = self.journal.trust
        if trust is None:
            if self.journal.store.read_key(key) is None:
                return None
            raise NotEntitledError(
                f"{key!r} is signed, but the trust root of the store is missing: restore 'trust' "
                "from a copy of the store"
            )
        statement = self.journal.reader.statement(key, self.model, trust)
        problem = "" if retired or statement is None else self.journal.counts(statement)
        if problem:
            raise NotEntitledError(
                f"the statement at {key!r} does not count: {problem}. Its team can endorse it with "
                "`provost trust endorse`"
            )
        return statement

    def all(self, *, retired: bool = False) -> list[Statement[Document]]:
        """Return every statement in order; a gap or another predecessor means one was removed.

        Raises as ``read``.
        """
        return list(self._chain(retired=retired))

    def _chain(self, *, retired: bool) -> Iterator[Statement[Document]]:
        previous, at = self.before, ""
        for number in range(self.first, max(self.numbers(), default=0) + 1):
            statement = self.read(number, retired=retired)
            if statement is None:
                raise CorruptError(
                    f"slot {number} of {self.prefix!r} is missing, but later ones exist: it was "
                    "deleted; restore it from a copy of the store"
                )
            if statement.previous != previous or _is_before(statement.at, at):
                raise CorruptError(
                    f"slot {number} of {self.prefix!r} does not follow the one before it: one of "
                    "them was replaced; restore both from a copy of the store"
                )
            previous, at = statement.digest, statement.at
            yield statement

    def append(
        self, make: Callable[[int, list[Document]], Document | None]
    ) -> Statement[Document] | None:
        """Claim the next number for the document that ``make`` gives for it.

        ``make`` gets the number and the documents before it. It is called again if another writer
        claimed the number first. If it returns None or raises, nothing is written.

        Raises:
            NotEntitledError: for a project that is not the author's.
        """
        assert isinstance(self.journal.reader, StoreReader), "who writes reads everything anew"
        author = self.journal.author
        if author.project != self.project:
            raise NotEntitledError(
                f"{author.team} may write only below {author.project!r}, but {self.prefix!r} "
                f"belongs to {self.project!r}: have the team of that project write it"
            )
        while True:
            known = self.all()
            last = known[-1] if known else None
            number = last.number + 1 if last else self.first
            body = make(number, [statement.body for statement in known])
            if body is None:
                return None
            assert self.journal.trust is not None
            place = StatementPlace(
                store=self.journal.trust.store,
                project=self.project,
                path=self.path,
                number=number,
                previous=last.digest if last else self.before,
                at=_after(last.at if last else ""),
            )
            data = make_statement(body, place, author.key)
            if self.journal.store.claim(place.key, data):
                written = self.read(number)
                assert written is not None
                return written


def _is_before(one: str, other: str) -> bool:
    return bool(other) and datetime.fromisoformat(one) < datetime.fromisoformat(other)


def _after(last: str) -> str:
    """Return the time now, or the last slot's where this machine's clock is behind it."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return last if _is_before(now, last) else now


def read_inventory(store: Store, digest: str) -> dict[str, str]:
    """Return the inventory in a blob.

    Raises:
        LineageError: for a blob that is missing, damaged or something else.
    """
    data = store.get_bytes(digest)
    try:
        return {str(key): str(value) for key, value in json.loads(data).items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise CorruptError(f"{digest} is not a valid inventory of statements: {error}") from error
