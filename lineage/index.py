"""A local SQLite index of the records, so that questions about 10,000 checkpoints take no time.

It is a cache of what was read and verified, rebuilt from the store whenever it is missing or not
readable; ``lineage.verify`` never asks it.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lineage.digest import PREFIX, digest_bytes, hex_of
from lineage.record import Attestation, Derivation, Records
from lineage.scratch import remove
from lineage.store import Store, home

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records(
    digest TEXT PRIMARY KEY, kind TEXT NOT NULL, settings TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS attestations(
    digest TEXT PRIMARY KEY, record TEXT NOT NULL, output TEXT NOT NULL, output_kind TEXT NOT NULL,
    owner TEXT NOT NULL, finished TEXT NOT NULL, notes TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS edges(
    child TEXT NOT NULL, parent TEXT NOT NULL, place INTEGER NOT NULL, role TEXT NOT NULL,
    name TEXT NOT NULL, artifact TEXT NOT NULL, weight REAL, PRIMARY KEY(child, place));
CREATE INDEX IF NOT EXISTS attestations_by_record ON attestations(record, finished);
CREATE INDEX IF NOT EXISTS attestations_by_output ON attestations(output, finished);
CREATE INDEX IF NOT EXISTS edges_by_parent ON edges(parent);
CREATE INDEX IF NOT EXISTS edges_by_artifact ON edges(artifact);
PRAGMA user_version = 1;
"""
_ANCESTORS = """
WITH RECURSIVE found(digest) AS (
    SELECT :start UNION SELECT edges.parent FROM edges JOIN found ON edges.child = found.digest
    WHERE edges.parent != '')
SELECT digest FROM found
"""
_DESCENDANTS = """
WITH RECURSIVE found(digest) AS (
    SELECT :start UNION SELECT edges.child FROM edges JOIN found ON edges.parent = found.digest)
SELECT digest FROM found
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
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN IMMEDIATE")
            known = {row[0] for row in connection.execute("SELECT digest FROM records")}
            new = [digest for digest in records.all() if digest not in known]
            for digest in new:
                _insert_record(connection, digest, records.read(digest))
            attested = {row[0] for row in connection.execute("SELECT digest FROM attestations")}
            keys = [key.split("/") for key in self._store.keys("attestations")]
            fresh = [key for key in keys if PREFIX + key[2] not in attested]
            for record in dict.fromkeys(PREFIX + key[1] for key in fresh):
                for attestation in records.attestations(record):
                    _insert_attestation(connection, attestation)
            connection.execute("COMMIT")
        return len(new) + len(fresh)

    def ancestors(self, record: str) -> list[str]:
        """Return the records that ``record`` descends from, nearest first, without itself."""
        return self._column(_ANCESTORS, record)[1:]

    def descendants(self, record: str) -> list[str]:
        """Return the records that descend from ``record``, nearest first, without itself."""
        return self._column(_DESCENDANTS, record)[1:]

    def has(self, record: str) -> bool:
        """Say whether ``record`` is a record of the store."""
        return bool(self._column("SELECT digest FROM records WHERE digest = :start", record))

    def makers(self, artifact: str) -> list[str]:
        """Return the records that gave an artifact, the first one that did so first."""
        query = (
            "SELECT record FROM attestations WHERE output = :start "
            "GROUP BY record ORDER BY min(finished), record"
        )
        return self._column(query, artifact)

    def users(self, artifact: str) -> list[str]:
        """Return the records that took an artifact as input."""
        query = "SELECT DISTINCT child FROM edges WHERE artifact = :start ORDER BY child"
        return self._column(query, artifact)

    def starting_with(self, text: str) -> list[str]:
        """Return records and outputs whose digest begins with ``sha256:`` and ``text``."""
        query = (
            "SELECT digest FROM records WHERE digest >= :start AND digest < :start || 'g' UNION "
            "SELECT output FROM attestations WHERE output >= :start AND output < :start || 'g'"
        )
        return self._column(query, PREFIX + text)

    def edges_into(self, records: list[str]) -> list[Edge]:
        """Return what each of ``records`` took, in the order in which it states its inputs."""
        query = (
            "SELECT child, parent, role, name, artifact, weight FROM edges "
            "WHERE child IN (SELECT value FROM json_each(?)) ORDER BY child, place"
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
            "WHERE r.digest IN (SELECT value FROM json_each(?))"
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


def _row(row: tuple[str, ...]) -> Row:
    digest, kind, settings, output, output_kind, owner, finished, notes = row
    return Row(
        digest, kind, json.loads(settings), output, output_kind, owner, finished, json.loads(notes)
    )


def _insert_record(connection: sqlite3.Connection, digest: str, derivation: Derivation) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO records VALUES(?, ?, ?)",
        (digest, derivation.kind, json.dumps(derivation.settings)),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO edges VALUES(?, ?, ?, ?, ?, ?, ?)",
        [
            (digest, item.record, place, item.role, item.name, item.artifact, item.weight)
            for place, item in enumerate(derivation.inputs)
        ],
    )


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
