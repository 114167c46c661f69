"""Documents that a user's earlier commands have read and checked, in one local file per store.

It is a cache: without it everything is read anew. Each document is sealed with a secret that
follows from the user's signing key, so that others can neither add nor change one, even where the
home folder is shared. Without a key nothing is kept.
"""

import hmac
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pydantic import JsonValue

from lineage.digest import digest_bytes, hex_of
from lineage.store.documents import Stamp, is_settled
from lineage.store.scratch import remove
from lineage.store.store import Store, home
from lineage.trust.author import key_there_is

_LOG = logging.getLogger("provost.lineage")
_SCHEMA = "CREATE TABLE IF NOT EXISTS kept(name TEXT PRIMARY KEY, document TEXT, seal BLOB)"
_WAIT_SECONDS = 5.0
"""Longest wait for another process that writes the file; reading anew takes less than more."""


class Kept:
    """The sealed documents of one user about one store."""

    def __init__(
        self, path: Path, secret: bytes | None, clock: Callable[[], float] = time.time
    ) -> None:
        """Use the file at ``path``; without a ``secret`` nothing is found and nothing is kept."""
        self._path = path
        self._secret = secret
        self._clock = clock
        self._new: dict[str, JsonValue] = {}
        self._open: sqlite3.Connection | None = None

    def find(self, name: str) -> JsonValue:
        """Return a document that this user has sealed under a name; None without one."""
        if self._secret is None or (self._open is None and not self._path.exists()):
            return None
        try:
            self._open = self._open or self._connection()
            query = "SELECT document, seal FROM kept WHERE name = ?"
            row = self._open.execute(query, [name]).fetchone()
        except sqlite3.Error as error:
            _LOG.info("what was kept in %s cannot be read: %s", self._path, error)
            return None
        text, seal = row or ("", b"")
        if not _is_sealed(self._secret, name, text, seal):
            return None
        found: JsonValue = json.loads(text)
        return found

    def put(self, name: str, document: JsonValue) -> None:
        """Keep a document from the next ``save`` on."""
        self._new[name] = document

    def is_settled(self, stamp: Stamp) -> bool:
        """Say whether any write from now on gives what has this stamp another one."""
        return is_settled(stamp, self._clock())

    def save(self) -> None:
        """Write what is new. A place that cannot be written costs the next command its time."""
        if self._open is not None:
            self._open.close()
            self._open = None
        if self._secret is None or not self._new:
            return
        texts = {name: json.dumps(document) for name, document in self._new.items()}
        rows = [(name, text, _seal(self._secret, name, text)) for name, text in texts.items()]
        self._new = {}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._write(rows)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._remove()  # a cut-off or foreign file
                self._write(rows)
        except (sqlite3.Error, OSError) as error:
            _LOG.warning("the next list reads everything again: %s: %s", self._path, error)

    def _write(self, rows: list[tuple[str, str, bytes]]) -> None:
        with closing(self._connection()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_SCHEMA)
            connection.executemany("INSERT OR REPLACE INTO kept VALUES(?, ?, ?)", rows)
            connection.execute("COMMIT")

    def _remove(self) -> None:
        for suffix in ("", "-journal"):
            remove(self._path.with_name(self._path.name + suffix))

    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")  # a cache: what is torn has no right seal
        return connection


def _seal(secret: bytes, name: str, text: str) -> bytes:
    return hmac.digest(secret, f"{len(name)} {name}{text}".encode(), "sha256")


def _is_sealed(secret: bytes, name: str, text: object, seal: object) -> bool:
    """Say whether a row is one that the holder of the secret has written under this name."""
    if not isinstance(text, str) or not isinstance(seal, bytes):
        return False
    return hmac.compare_digest(seal, _seal(secret, name, text))


@contextmanager
def kept_of(store: Store) -> Iterator[Kept]:
    """Give what this user keeps about a store, in the home folder; save it at the end."""
    key = store.signing_key or key_there_is()
    secret = key.secret_for(f"kept of {store.uri}") if key else None
    name = hex_of(digest_bytes(store.uri.encode()))[:16]
    kept = Kept(home() / "index" / f"{name}-kept.db", secret)
    yield kept
    kept.save()
