"""What an earlier list found under a name, as long as nothing that decides it has changed.

That is: the trust root to the byte, which of the owner's keys are in effect, and the stamp of every
slot of the name. Where a key of the owner is out of effect, what a newer key has endorsed decides
too, and so do the stamps of those slots.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import JsonValue

from lineage.registry.names import REGISTRY, Names
from lineage.store.store import Store
from lineage.trust.journal import ENDORSEMENTS
from lineage.trust.kept import Kept, kept_of
from lineage.trust.seen import SeenReader
from lineage.trust.statement import prefix_of

VERSION = 1
"""Raise it with each change of what a list finds in the same statements."""


class KnownNames:
    """The names of a store for a list of many, with what was found under them before."""

    def __init__(self, store: Store, kept: Kept) -> None:
        """Take from ``kept`` what earlier lists found, and give it what this one finds."""
        self.kept = kept
        self._store = store
        self._reader = SeenReader(store, kept, REGISTRY)
        self.names = Names(store, self._reader)
        """These names; of their statements only what is not known is read again."""

    def find(self, name: str) -> JsonValue:
        """Return what was found under a name when all was as it is now; else None."""
        basis = self._basis(name)
        document: Any = self.kept.find(_title(name)) if basis else None
        return document["found"] if document and document["basis"] == basis else None

    def put(self, name: str, found: JsonValue) -> None:
        """Keep what was found under a name, if any change from now on will show."""
        basis = self._basis(name)
        stamps = [stamp for slots in basis["stamps"].values() for stamp in slots.values()]
        if all(self.kept.is_settled(stamp) for stamp in stamps):
            self.kept.put(_title(name), {"basis": basis, "found": found})

    def save(self) -> None:
        """Hand over what was read anew."""
        self._reader.save()

    def _basis(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """Return what decides what is found under a name; None where not all of that is known."""
        trust, project = self.names.journal.trust, self.names.project_of(name)
        if trust is None or trust.adopted or not project:
            return None  # unsigned statements are read each time
        keys = [*trust.teams[trust.owner_of(name)].keys]
        in_effect = [key.public for key in keys if not key.why_not()]
        stamps = {**self._reader.stamps(prefix_of(project, f"{REGISTRY}/{name}"))}
        if len(in_effect) < len(keys):
            endorsements = prefix_of(project, ENDORSEMENTS)
            stamps |= self._store.stamps(endorsements)
        return {"root": self._reader.root_of(trust), "keys": in_effect, "stamps": stamps}


@contextmanager
def known_names(store: Store) -> Iterator[KnownNames]:
    """Give the names of a store with what this user's earlier lists found; keep the new at the end.

    The slots are listed once, so what is written meanwhile is for the next list.
    """
    with kept_of(store) as kept:
        known = KnownNames(store, kept)
        yield known
        known.save()


def _title(name: str) -> str:
    return f"found under {name}, {VERSION}"
