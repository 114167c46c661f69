"""A local SQLite index of the records, so that questions about 10,000 checkpoints take no time.

It is a cache of what was read and verified, rebuilt from the store whenever it is missing or not
readable; ``lineage.verify`` never asks it.
"""

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lineage.digest import PREFIX, digest_bytes, hex_of
from lineage.errors import CorruptError
from lineage.record import Attestation, Derivation, Records
from lineage.scratch import remove
from lineage.store import Store, home

_LOG = logging.getLogger("provost.lineage")
_VERSION = 2
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS records(
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, kind TEXT, settings TEXT);
CREATE TABLE IF NOT EXISTS attestations(
    digest TEXT PRIMARY KEY, record TEXT NOT NULL, output TEXT NOT NULL, output_kind TEXT NOT NULL,
    owner TEXT NOT NULL, finished TEXT NOT NULL, notes TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS edges(
    child INTEGER NOT NULL, place INTEGER NOT NULL, parent INTEGER, role TEXT NOT NULL,
    name TEXT NOT NULL, artifact TEXT NOT NULL, weight REAL,
    PRIMARY KEY(child, place)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attestations_by_record ON attestations(record, finished);
CREATE INDEX IF NOT EXISTS attestations_by_output ON attestations(output, finished);
CREATE INDEX IF NOT EXISTS edges_up ON edges(child, parent);
CREATE INDEX IF NOT EXISTS edges_down ON edges(parent, child);
CREATE INDEX IF NOT EXISTS edges_by_artifact ON edges(artifact);
PRAGMA user_version = {_VERSION};
"""
"""Edges hold numbers, not digests: a walk over 10,000 of them is then five times as fast."""
_ANCESTORS = """
WITH RECURSIVE found(id) AS (
    SELECT id FROM records WHERE digest = :start
    UNION SELECT edges.parent FROM found JOIN edges ON edges.child = found.id
    WHERE edges.parent IS NOT NULL)
SELECT records.digest FROM found CROSS JOIN records ON records.id = found.id
"""
_DESCENDANTS = """
WITH RECURSIVE found(id) AS (
    SELECT id FROM records WHERE digest = :start
    UNION SELECT edges.child FROM found JOIN edges ON edges.parent = found.id)
SELECT records.digest FROM found CROSS JOIN records ON records.id = found.id
"""


@dataclass(frozen=True)
class Edge:
    """What one record (``child``) took, and from which record (``parent``; "" when raw)."""

    child: str
    parent: str
    role: str
    name: str
    artifact: str
    weight: float | None


@dataclass(frozen=True)
class Row:
    """One record as the index knows it, with its newest attestation."""

    digest: str
    kind: str
    settings: dict[str, object]
    output: str
    output_kind: str
    owner: str
    finished: str
    notes: dict[str, object]


class Index:
    """Records, outputs and edges of one store, in one SQLite file."""

    def __init__(self, store: Store, path: Path | None = None) -> None:
        """Open the index of ``store`` (by default in the home folder) and catch up with it."""
        self._store = store
        name = hex_of(digest_bytes(store.uri.encode()))[:16]
        self._path = path or home() / "index" / f"{name}.db"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.refresh()
        except sqlite3.DatabaseError:  # a cut-off or foreign file: it is only a cache
            for suffix in ("", "-wal", "-shm"):
                remove(self._path.with_name(self._path.name + suffix))
            self.refresh()

    def refresh(self) -> int:
        """Take in what the store has and the index has not; return how many documents."""
        records = Records(self._store)
        with self._open() as connection:
            self._prepare(connection)
            connection.execute("BEGIN IMMEDIATE")
            query = "SELECT digest FROM records WHERE kind IS NOT NULL"
            known = {row[0] for row in connection.execute(query)}
            new = [digest for digest in records.all() if digest not in known]
            for digest in new:
                with _damage_told():
                    _insert_record(connection, digest, records.read(digest))
            attested = {row[0] for row in connection.execute("SELECT digest FROM attestations")}
            keys = [key.split("/") for key in self._store.keys("attestations")]
            fresh = [key for key in keys if PREFIX + key[2] not in attested]
            for record in dict.fromkeys(PREFIX + key[1] for key in fresh):
                with _damage_told():
                    for attestation in records.attestations(record):
                        _insert_attestation(connection, attestation)
            connection.execute("COMMIT")
        return len(new) + len(fresh)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables; those of another version of this module are dropped first."""
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            for table in ("records", "attestations", "edges"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
        if version != _VERSION:
            connection.executescript(_SCHEMA)

    def ancestors(self, record: str) -> list[str]:
        """Return the records that ``record`` descends from, nearest first, without itself."""
        return self._column(_ANCESTORS, record)[1:]

    def descendants(self, record: str) -> list[str]:
        """Return the records that descend from ``record``, nearest first, without itself."""
        return self._column(_DESCENDANTS, record)[1:]

    def has(self, record: str) -> bool:
        """Say whether ``record`` is a record of the store."""
        return bool(
            self._column(
                "SELECT digest FROM records WHERE digest = :start AND kind IS NOT NULL", record
            )
        )

    def of_kind(self, kind: str) -> list[str]:
        """Return the records of a kind, in the order of their digests."""
        return self._column("SELECT digest FROM records WHERE kind = :start ORDER BY digest", kind)

    def makers(self, artifact: str) -> list[str]:
        """Return the records that gave an artifact, the first one that did so first."""
        query = (
            "SELECT record FROM attestations WHERE output = :start "
            "GROUP BY record ORDER BY min(finished), record"
        )
        return self._column(query, artifact)

    def users(self, artifact: str) -> list[str]:
        """Return the records that took an artifact as input."""
        query = (
            "SELECT DISTINCT records.digest FROM edges JOIN records ON records.id = edges.child "
            "WHERE edges.artifact = :start ORDER BY records.digest"
        )
        return self._column(query, artifact)

    def starting_with(self, text: str) -> list[str]:
        """Return records and outputs whose digest begins with ``sha256:`` and ``text``."""
        query = (
            "SELECT digest FROM records "
            "WHERE digest >= :start AND digest < :start || 'g' AND kind IS NOT NULL UNION "
            "SELECT output FROM attestations WHERE output >= :start AND output < :start || 'g'"
        )
        return self._column(query, PREFIX + text)

    def edges_into(self, records: list[str]) -> list[Edge]:
        """Return what each of ``records`` took, in the order in which it states its inputs."""
        query = (
            "SELECT c.digest, coalesce(p.digest, ''), e.role, e.name, e.artifact, e.weight "
            "FROM json_each(?) AS asked JOIN records AS c ON c.digest = asked.value "
            "JOIN edges AS e ON e.child = c.id LEFT JOIN records AS p ON p.id = e.parent "
            "ORDER BY c.digest, e.place"
        )
        with self._open() as connection:
            return [Edge(*row) for row in connection.execute(query, [json.dumps(records)])]

    def rows(self, records: list[str]) -> list[Row]:
        """Return each of ``records`` with its newest attestation, in the order given."""
        query = (
            "SELECT r.digest, r.kind, r.settings, coalesce(a.output, ''), "
            "coalesce(a.output_kind, ''), coalesce(a.owner, ''), coalesce(a.finished, ''), "
            "coalesce(a.notes, '{}') FROM records r LEFT JOIN attestations a ON a.digest = "
            "(SELECT digest FROM attestations WHERE record = r.digest "
            "ORDER BY finished DESC, digest DESC LIMIT 1) "
            "WHERE r.kind IS NOT NULL AND r.digest IN (SELECT value FROM json_each(?))"
        )
        with self._open() as connection:
            found = {row[0]: _row(row) for row in connection.execute(query, [json.dumps(records)])}
        return [found[record] for record in records if record in found]

    def _column(self, query: str, start: str) -> list[str]:
        with self._open() as connection:
            return [row[0] for row in connection.execute(query, {"start": start})]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=60, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # a cache: rebuilt if power fails
            yield connection


@contextmanager
def _damage_told() -> Iterator[None]:
    """Leave a damaged document out of the index, and say so.

    One flipped byte must not hide 10,000 other records; ``verify`` fails on whatever rests on it.
    """
    try:
        yield
    except CorruptError as error:
        _LOG.warning("left out of the index: %s", error)


def _row(row: tuple[str, ...]) -> Row:
    digest, kind, settings, output, output_kind, owner, finished, notes = row
    return Row(
        digest, kind, json.loads(settings), output, output_kind, owner, finished, json.loads(notes)
    )


def _insert_record(connection: sqlite3.Connection, digest: str, derivation: Derivation) -> None:
    """Insert a record and its edges; a parent that comes later gets its number now."""
    number = _number(connection, digest)
    connection.execute(
        "UPDATE records SET kind = ?, settings = ? WHERE id = ?",
        (derivation.kind, json.dumps(derivation.settings), number),
    )
    for place, item in enumerate(derivation.inputs):
        parent = _number(connection, item.record) if item.record else None
        row = (number, place, parent, item.role, item.name, item.artifact, item.weight)
        connection.execute("INSERT OR REPLACE INTO edges VALUES(?, ?, ?, ?, ?, ?, ?)", row)


def _number(connection: sqlite3.Connection, digest: str) -> int:
    connection.execute("INSERT OR IGNORE INTO records(digest) VALUES(?)", (digest,))
    row: tuple[int] = connection.execute(
        "SELECT id FROM records WHERE digest = ?", (digest,)
    ).fetchone()
    return row[0]


def _insert_attestation(connection: sqlite3.Connection, attestation: Attestation) -> None:
    row = attestation
    values = (
        row.digest(),
        row.derivation,
        row.output,
        row.output_kind,
        row.owner,
        row.finished,
        json.dumps(row.notes),
    )
    connection.execute("INSERT OR REPLACE INTO attestations VALUES(?, ?, ?, ?, ?, ?, ?)", values)
