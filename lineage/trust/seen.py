"""Reads the statements below a path of each project, of which only what is new since last time.

What an earlier command has verified is taken from the local file of ``lineage.trust.kept``: what a
statement says, its digest, and the key that signed it. It is taken while the slot is as it was
read, and while the trust root is the same to the byte. Everything else is decided anew each time:
which slots there are, whether each follows the one before it, whether its key is in effect or its
statement endorsed, and what was recalled.

For lists and overviews alone. Who acts on a name, and who verifies, reads anew.
"""

from dataclasses import dataclass, field
from typing import Any

from lineage.digest import digest_json
from lineage.dsse import key_id
from lineage.store.documents import Stamp, Stamps, to_json
from lineage.store.store import Store
from lineage.trust.journal import PROJECTS
from lineage.trust.kept import Kept
from lineage.trust.root import TrustRoot
from lineage.trust.statement import Document, Stated, Statement, read_statement

VERSION = 1
"""Raise it with each change of what ``read_statement`` checks: older answers are dropped then."""


@dataclass
class _Sequence:
    """The slots of one path."""

    name: str
    """Name of the document in ``kept``."""
    stamps: dict[str, Stamp]
    """The slots as they are now, by name."""
    rows: dict[str, Any]
    """What was read by name: stamp, key, digest, digest of the slot before, time, body."""
    is_changed: bool = False


@dataclass
class SeenReader:
    """Reader of a journal that takes from ``kept`` what was verified before."""

    store: Store
    kept: Kept
    part: str
    """Path below each project, such as ``registry``. What lies elsewhere is read anew."""
    _listed: dict[str, dict[str, Stamps]] = field(default_factory=dict, init=False)
    """Stamps by the path of a project's part, then by what lies directly below it."""
    _sequences: dict[tuple[str, type[Stated], str], _Sequence] = field(
        default_factory=dict, init=False
    )
    """The sequences by path, model and trust root."""
    _root: tuple[TrustRoot, str] | None = field(default=None, init=False)

    def keys(self, prefix: str) -> list[str]:
        """See ``lineage.trust.journal.StatementReader``. The slots of a project are listed once."""
        if not self._is_of_part(prefix):
            return self.store.keys(prefix)
        within = f"{prefix}/"
        return sorted(
            f"{path}/{name}"
            for path, stamps in self.stamps(prefix).items()
            if f"{path}/".startswith(within)
            for name in stamps
        )

    def folders(self, prefix: str) -> set[str]:
        """See ``lineage.trust.journal.StatementReader``. For the path of the part itself."""
        return set(self._list(prefix))

    def stamps(self, prefix: str) -> Stamps:
        """Return the stamps of all slots of the registered name, or such, that a path is of."""
        top, folder = _split(prefix)
        return self._list(top).get(folder, {})

    def root_of(self, trust: TrustRoot) -> str:
        """Return the digest of a trust root."""
        if self._root is None or self._root[0] is not trust:
            self._root = trust, digest_json(to_json(trust))
        return self._root[1]

    def statement(
        self, key: str, model: type[Document], trust: TrustRoot
    ) -> Statement[Document] | None:
        """See ``lineage.trust.journal.StatementReader``."""
        path, _, name = key.rpartition("/")
        known = self._sequence(path, model, self.root_of(trust))
        row, stamp = known.rows.get(name), known.stamps.get(name)
        if row and row[0] == stamp:
            _, public, digest, previous, at, body = row
            team = trust.team_of_key(key_id(public))
            assert team is not None, "the trust root is the one by which it was verified"
            said = model.model_validate(body)
            return Statement(said, key, previous, at, *team, digest)
        data = self.store.read_key(key)
        if data is None:
            return None
        found = read_statement(data, key, model, trust)
        if stamp and self.kept.is_settled(stamp):
            signed = [found.key.public, found.digest, found.previous, found.at]
            known.rows[name] = [stamp, *signed, to_json(found.body)]
            known.is_changed = True
        return found

    def save(self) -> None:
        """Hand what was read now to ``kept``, for the next command."""
        for (_, _, root), known in self._sequences.items():
            if known.is_changed:
                rows = {name: row for name, row in known.rows.items() if name in known.stamps}
                self.kept.put(known.name, {"root": root, "rows": rows})

    def _is_of_part(self, prefix: str) -> bool:
        segments = prefix.split("/")
        return segments[0] == PROJECTS and segments[2:3] == [self.part]

    def _list(self, top: str) -> dict[str, Stamps]:
        if top not in self._listed:
            found = self._listed[top] = {}
            for path, stamps in self.store.stamps(top).items():
                found.setdefault(_split(path)[1], {})[path] = stamps
        return self._listed[top]

    def _sequence(self, path: str, model: type[Stated], root: str) -> _Sequence:
        known = self._sequences.get((path, model, root))
        if known is None:
            # A model with other fields reads other things in the same bytes.
            read_as = [str(VERSION), model.predicate_type, *sorted(model.model_fields)]
            name = f"statements at {path}, {' '.join(read_as)}"
            stamps = self.stamps(path).get(path, {}) if self._is_of_part(path) else {}
            found: Any = self.kept.find(name) if stamps else None
            rows = found["rows"] if found and found["root"] == root else {}
            known = self._sequences[path, model, root] = _Sequence(name, stamps, rows)
        return known


def _split(path: str) -> tuple[str, str]:
    """Return the path of a project's part, and what lies directly below it on the way."""
    segments = path.split("/", 4)
    return "/".join(segments[:3]), "".join(segments[3:4])
