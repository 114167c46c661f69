"""A local SQLite index of the records, so that questions about 10,000 checkpoints take no time.

It is a cache of what was read and verified, rebuilt from the store whenever it is missing or not
readable; ``lineage.operations.verify`` never asks it.
"""

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lineage.digest import PREFIX, digest_bytes, hex_of
from lineage.errors import LineageError, UnreachableError
from lineage.graph.tables import (
    ANCESTORS,
    DESCENDANTS,
    SCHEMA,
    VERSION,
    insert_attestation,
    insert_record,
)
from lineage.records.record import Records
from lineage.store.scratch import remove
from lineage.store.store import Store, home
from lineage.trust.journal import Journal

_LOG = logging.getLogger("provost.lineage")


@dataclass(frozen=True)
class Edge:
    """An input of the record ``child``, made by the record ``parent`` ("" for a raw input)."""

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


@dataclass(frozen=True)
class LeftOut:
    """A document of the store that the index could not read."""

    key: str
    record: str
    """Record that it belongs to, or would belong to."""
    why: str


_NO_PLACE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
}
"""SQLite's error codes for a place that cannot be used, though the file may be sound."""


class Index:
    """Records, outputs and edges of one store, in one SQLite file."""

    def __init__(self, store: Store, path: Path | None = None) -> None:
        """Open the index of ``store`` (by default in the home folder) and catch up with it."""
        self._store = store
        self._left_out: list[LeftOut] = []
        name = hex_of(digest_bytes(store.uri.encode()))[:16]
        self._path = path or home() / "index" / f"{name}.db"
        self._in_memory: sqlite3.Connection | None = None
        if "://" not in store.uri and not Path(store.uri).exists():
            # There is nothing to index yet, and who only reads leaves nothing behind.
            self._in_memory = _connection(":memory:")
        try:
            self._open_or_make()
        except (sqlite3.OperationalError, OSError) as error:
            # It is only a cache: without a place for it, or on a full disk, memory will do.
            if isinstance(error, sqlite3.Error) and _code(error) not in _NO_PLACE:
                raise
            _LOG.warning("the index is kept in memory, not in %s: %s", self._path, error)
            self._in_memory = _connection(":memory:")
            self.refresh()

    def _open_or_make(self) -> None:
        if self._in_memory is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.refresh()
        except sqlite3.DatabaseError as error:  # a cut-off or foreign file
            if _code(error) in _NO_PLACE:
                raise
            for suffix in ("", "-wal", "-shm"):
                remove(self._path.with_name(self._path.name + suffix))
            self.refresh()

    def refresh(self) -> int:
        """Read what is new in the store into the index; return the number of documents."""
        self._left_out = []
        with self._open() as connection:
            self._prepare(connection)
            connection.execute("BEGIN IMMEDIATE")
            listed = Records(self._store).statements()
            count = self._take_records(connection, listed)
            count += self._take_statements(connection, listed)
            connection.execute("COMMIT")
        return count

    @property
    def left_out(self) -> tuple["LeftOut", ...]:
        """The documents that could not be read: what they say is missing in every answer."""
        return tuple(self._left_out)

    def _take_records(self, connection: sqlite3.Connection, keys: list[tuple[str, str]]) -> int:
        records = Records(self._store)
        query = "SELECT digest FROM records WHERE kind IS NOT NULL"
        known = {row[0] for row in connection.execute(query)}
        new = [digest for digest in records.all(keys) if digest not in known]
        for digest in new:
            with self._damage_told(f"records/{digest.removeprefix(PREFIX)}", digest):
                insert_record(connection, digest, records.read(digest))
        return len(new)

    def _take_statements(self, connection: sqlite3.Connection, keys: list[tuple[str, str]]) -> int:
        """Take in attestations one by one: a bad one beside them hides none of the others."""
        records = Records(self._store)
        known = {row[0] for row in connection.execute("SELECT key FROM attestations")}
        fresh = [(record, key) for record, key in keys if key not in known]
        for record, key in fresh:
            with self._damage_told(key, record):
                insert_attestation(connection, key, records.attestation_at(record, key))
        return len(fresh)

    @contextmanager
    def _damage_told(self, key: str, record: str) -> Iterator[None]:
        """Leave a damaged document out of the index, and remember that.

        One flipped byte must not hide 10,000 other records; ``verify`` fails on everything that
        depends on it. A store that does not answer does not count as damage.
        """
        try:
            yield
        except UnreachableError:
            raise
        except LineageError as error:
            _LOG.warning("left out of the index: %s: %s", key, error)
            self._left_out.append(LeftOut(key, record, str(error)))

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables anew where this module, or the trust root, has another version."""
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        # A key revoked since then no longer vouches for any row of the index.
        trust = Journal(self._store).trust
        trust_version = trust.version if trust else 0
        seen = connection.execute("PRAGMA application_id").fetchone()[0]
        if (version, seen) != (VERSION, trust_version):
            for table in ("records", "attestations", "edges"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.executescript(SCHEMA)
            connection.execute(f"PRAGMA application_id = {trust_version}")

    def ancestors(self, record: str) -> list[str]:
        """Return the records that ``record`` descends from, nearest first, without itself."""
        return self._column(ANCESTORS, record)[1:]

    def descendants(self, record: str) -> list[str]:
        """Return the records that descend from ``record``, nearest first, without itself."""
        return self.family_below([record])[1:]

    def family_below(self, records: list[str]) -> list[str]:
        """Return ``records`` and all that descends from one of them, nearest first."""
        return self._column(DESCENDANTS, json.dumps(records))

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
        """Return the records with this artifact as output, the earliest finished first."""
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
        """Return records and outputs with a digest that begins with ``sha256:`` and ``text``."""
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
            "FROM json_each(?) AS wanted JOIN records AS c ON c.digest = wanted.value "
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
            "coalesce(a.notes, '{}') FROM records r LEFT JOIN attestations a ON a.key = "
            "(SELECT key FROM attestations WHERE record = r.digest "
            "ORDER BY number DESC, finished DESC, key DESC LIMIT 1) "
            "WHERE r.kind IS NOT NULL AND r.digest IN (SELECT value FROM json_each(?))"
        )
        with self._open() as connection:
            found = {row[0]: _row(row) for row in connection.execute(query, [json.dumps(records)])}
        return [found[record] for record in records if record in found]

    def outputs(self, records: list[str]) -> list[Row]:
        """Return a row for each output that anybody attested of ``records``, sorted.

        Unlike in ``rows``, an attestation that was appended later hides no earlier one. A record
        without any has one row with no output.
        """
        query = (
            "SELECT r.digest, r.kind, r.settings, coalesce(a.output, ''), "
            "coalesce(a.output_kind, ''), coalesce(a.owner, ''), coalesce(a.finished, ''), "
            "coalesce(a.notes, '{}') FROM records r "
            "LEFT JOIN attestations a ON a.record = r.digest "
            "WHERE r.kind IS NOT NULL AND r.digest IN (SELECT value FROM json_each(?)) "
            "ORDER BY r.digest, a.number, a.finished, a.key"
        )
        with self._open() as connection:
            return [_row(row) for row in connection.execute(query, [json.dumps(records)])]

    def _column(self, query: str, start: str) -> list[str]:
        with self._open() as connection:
            return [row[0] for row in connection.execute(query, {"start": start})]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if self._in_memory is not None:
            yield self._in_memory
            return
        with closing(_connection(str(self._path))) as connection:
            yield connection


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary code; 0 for an error of Python's own module."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _connection(database: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        database, timeout=60, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous = OFF")  # a cache: rebuilt if power fails
    return connection


def _row(row: tuple[str, ...]) -> Row:
    digest, kind, settings, output, output_kind, owner, finished, notes = row
    return Row(
        digest, kind, json.loads(settings), output, output_kind, owner, finished, json.loads(notes)
    )
