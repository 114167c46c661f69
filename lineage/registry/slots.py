"""The slots of a registered name: versions, alias moves, events; and how the next is added."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import Field, field_validator

from lineage.artifacts import Digest
from lineage.digest import digest_bytes
from lineage.errors import CorruptError
from lineage.store.documents import unseal
from lineage.trust.journal import Journal, Slots
from lineage.trust.older import Older
from lineage.trust.statement import Stated


def _moment(value: str) -> str:
    if datetime.fromisoformat(value).utcoffset() is None:
        raise ValueError(f"time {value!r} has no offset")
    return value


class Entry(Stated):
    """One version of a name."""

    predicate_type: ClassVar[str] = "urn:provost:registry-entry:2"

    name: str
    version: int
    kind: str
    """What the digest names: release, student, checkpoint."""
    digest: Digest
    record: str
    owner: str
    created: str
    """ISO 8601 with an offset."""
    note: str

    _created = field_validator("created")(_moment)

    def subject(self) -> tuple[str, str]:
        """Return what is registered, under its name and version."""
        return f"{self.name}@{self.version}", self.digest


class Move(Stated):
    """An alias that was pointed at a version."""

    predicate_type: ClassVar[str] = "urn:provost:alias-move:1"

    alias: str
    version: int
    by: str
    reason: str
    at: str


class Event(Stated):
    """A version that was retired (no longer offered) or recalled (no longer accepted)."""

    predicate_type: ClassVar[str] = "urn:provost:event:1"

    action: Literal["recall", "retire"]
    version: int
    by: str = Field(min_length=1)
    reason: str
    at: str


Named = TypeVar("Named", Entry, Move, Event)


@dataclass(frozen=True)
class NamedSlots(Generic[Named]):
    """One sequence of a name: older unsigned statements, then those that its owner signed."""

    journal: Journal
    older: Older
    project: str
    """Project of the team that owns the name."""
    path: str
    """``registry/<name>/versions``."""
    model: type[Named]

    def numbers(self) -> list[int]:
        """Return the numbers that are claimed, sorted."""
        signed: list[int] = self._signed().numbers() if self.project else []
        return sorted({*self._old_numbers(), *signed})

    def is_older(self, number: int) -> bool:
        """Return whether a slot is from before statements were signed."""
        return number in self._old_numbers()

    def read(self, number: int) -> Named | None:
        """Return one document, checked by itself; None where its slot is free.

        Raises:
            CorruptError: for a slot that is damaged.
            NotEntitledError: for a statement that does not count.
        """
        key = self._old_key(number)
        data = self.older.read(key)
        if data is not None:
            return unseal(data, key, self.model)
        if not self.project:
            return None
        statement = self._signed().read(number)
        return statement.body if statement else None

    def all(self) -> list[Named]:
        """Return every document in order. Raises as ``read``, and CorruptError for a gap."""
        old = self._old()
        if not self.project:
            return old
        return old + [statement.body for statement in self._signed(len(old)).all()]

    def append(self, make: Callable[[int, list[Named]], Named | None]) -> Named | None:
        """Claim the next number for what ``make`` gives: see ``Slots.append``."""
        old = self._old()
        said = self._signed(len(old)).append(lambda number, known: make(number, old + known))
        return said.body if said else None

    def _old_numbers(self) -> list[int]:
        names = [key.rpartition("/")[2] for key in self.older.keys(self.path)]
        return sorted(int(name) for name in names if len(name) == 8 and name.isdecimal())

    def _old(self) -> list[Named]:
        found = []
        for number in range(1, max(self._old_numbers(), default=0) + 1):
            key = self._old_key(number)
            data = self.older.read(key)
            if data is None:
                raise CorruptError(
                    f"slot {number} of {self.path!r} is missing, but later ones exist: it was "
                    "deleted; restore it from a copy of the store"
                )
            found.append(unseal(data, key, self.model))
        return found

    def _old_key(self, number: int) -> str:
        return f"{self.path}/{number:08d}"

    def _signed(self, num_old: int = 0) -> Slots[Named]:
        before = ""
        if num_old:
            before = digest_bytes(self.older.read(self._old_key(num_old)) or b"")
        return Slots(self.journal, self.project, self.path, self.model, num_old + 1, before)
