"""Numbered slots of the registry: what stands in them, and how the next one is claimed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import Field

from lineage.artifacts import Digest, Frozen
from lineage.documents import read_sealed, seal, to_json
from lineage.errors import LineageError
from lineage.store import Store


class Entry(Frozen):
    """One version of a name."""

    name: str
    version: int
    kind: str
    """What the digest names: release, student, checkpoint."""
    digest: Digest
    record: str
    owner: str
    created: str
    note: str


class Move(Frozen):
    """An alias that was pointed at a version."""

    alias: str
    version: int
    by: str
    reason: str
    at: str


class Event(Frozen):
    """A version that was retired (no longer offered) or recalled (no longer accepted)."""

    action: Literal["recall", "retire"]
    version: int
    by: str = Field(min_length=1)
    reason: str
    at: str


_NUMBER = re.compile(r"[0-9]{8}")

Document = TypeVar("Document", Entry, Move, Event)


@dataclass(frozen=True)
class Slots:
    """A numbered sequence of sealed documents, 1, 2, 3 ..., that is only appended to."""

    store: Store
    prefix: str

    def numbers(self) -> list[int]:
        """Return the numbers claimed, sorted.

        What is no slot is passed over: an editor's backup or a ``.DS_Store`` beside the slots.
        """
        names = (key.removeprefix(f"{self.prefix}/") for key in self.store.keys(self.prefix))
        return sorted(int(name) for name in names if _NUMBER.fullmatch(name))

    def count(self) -> int:
        """Return the highest number claimed."""
        return max(self.numbers(), default=0)

    def read(self, number: int, model: type[Document]) -> Document | None:
        """Return one document, verified, or None where its slot is free."""
        return read_sealed(self.store, f"{self.prefix}/{number:08d}", model)

    def all(self, model: type[Document]) -> list[Document]:
        """Return every document in order; a gap would mean that one was deleted."""
        documents = []
        for number in range(1, self.count() + 1):
            document = self.read(number, model)
            if document is None:
                raise LineageError(
                    f"slot {number} of {self.prefix!r} is gone although later ones stand: someone "
                    "deleted it; restore it from a copy of the store"
                )
            documents.append(document)
        return documents

    def append(self, make: Callable[[int], Document]) -> Document:
        """Claim the next free number for the document that ``make`` gives for it."""
        number = self.count() + 1
        while True:
            document = make(number)
            if self.store.claim(f"{self.prefix}/{number:08d}", seal(to_json(document))):
                return document
            number += 1
