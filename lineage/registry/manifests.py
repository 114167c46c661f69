"""What a list says of manifests: read once, and again where the blob's file was written to.

A manifest has a digest, so what it says never changes. The file is looked at so that a list
reports a blob that is missing or has other bytes by now. In a store without files, such as S3,
that is left to ``verify``: a list sends no request for what it knows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import JsonValue

from lineage.registry.slots import Entry
from lineage.registry.survey import Survey
from lineage.store.documents import Stamp
from lineage.store.store import FolderStore, Store
from lineage.trust.kept import Kept


@dataclass
class KnownManifests:
    """Facts of manifests by registered name and digest."""

    store: Store
    kept: Kept
    facts: str
    """The facts by name, with the version of how they are read."""
    _names: dict[str, Any] = field(default_factory=dict, init=False)
    _changed: set[str] = field(default_factory=set, init=False)

    def each(
        self, found: Survey, read: Callable[[Store, Entry], JsonValue]
    ) -> Iterator[tuple[Entry, str, Any]]:
        """Yield the entries of a survey with reference and facts, and keep these at the end.

        An entry with a manifest that cannot be read is a problem of the survey, and is left out.
        """
        for entry in found.entries:
            reference = f"{entry.name}@{entry.version}"
            facts = found.attempt(
                reference, partial(self.of, entry, partial(read, self.store, entry)), None
            )
            if facts is not None:
                yield entry, reference, facts
        self.save()

    def of(self, entry: Entry, read: Callable[[], JsonValue]) -> JsonValue:
        """Return the facts of what is registered; ``read`` gives them if they are not known."""
        if entry.name not in self._names:
            self._names[entry.name] = self.kept.find(self._title(entry.name)) or {}
        known = self._names[entry.name]
        stamp, row = self._stamp(entry.digest), known.get(entry.digest)
        if row and row[0] == stamp:
            found: JsonValue = row[1]
            return found
        found = read()
        if stamp is not None and (not stamp or self.kept.is_settled(stamp)):
            known[entry.digest] = [stamp, found]
            self._changed.add(entry.name)
        return found

    def save(self) -> None:
        """Hand what was read now to ``kept``, for the next command."""
        for name in self._changed:
            self.kept.put(self._title(name), self._names[name])

    def _stamp(self, digest: str) -> Stamp | None:
        """Return the stamp of a blob's file; [] in a store without files, None without the file."""
        if not isinstance(self.store, FolderStore):
            return []
        try:
            return [*self.store.blobs.status(digest)]
        except OSError:
            return None

    def _title(self, name: str) -> str:
        return f"manifests of {name}, {self.facts}"
