"""The store and the tracking server that this process would use: do they answer?"""

import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from lineage.doctor.check import Check, Group
from lineage.doctor.disk import MOUNTS, check_folder, existing_parent, network_disk
from lineage.errors import LineageError
from lineage.mirror.tracking import tracking_uri, without_password
from lineage.store.store import home, open_store

_STORE = Group("store")
_TRACKING = Group("tracking")
_ANSWER_SECONDS = 2.0
_OK = 200
_PORTS = {"postgresql": 5432, "mysql": 3306}
_SQLITE = "sqlite:///"
_NOTHING_LOST = "the store keeps every record, and `provost lineage reindex` fills MLflow again"


def check_store(place: str | None = None) -> list[Check]:
    """Return the checks of the store at ``place``, by default the one that commands would open."""
    uri = place or os.environ.get("PROVOST_STORE") or str(home() / "store")
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        return check_folder(Path(rest if separator else uri).absolute())
    try:
        open_store(uri)  # tries the conditional writes and removes what it wrote
    except LineageError as error:
        remedy = "check the bucket, AWS_ENDPOINT_URL, the network and the credentials"
        return [_STORE.fail("object store", str(error), remedy)]
    return [_STORE.ok("object store", f"{uri} answers and keeps conditional writes")]


def check_tracking(uri: str | None = None, mounts: Path = MOUNTS) -> list[Check]:
    """Return whether MLflow answers at ``uri``, by default the one that runs would write to."""
    uri = uri or tracking_uri()
    shown = without_password(uri)
    try:
        return [_TRACKING.ok("MLflow", f"{shown}: {_ask(uri)}"), *_shared_database(uri, mounts)]
    except (OSError, sqlite3.Error, ValueError) as error:
        remedy = f"start it, or correct MLFLOW_TRACKING_URI; until then {_NOTHING_LOST}"
        return [_TRACKING.warn("MLflow", f"{shown} does not answer: {error}", remedy)]


def _shared_database(uri: str, mounts: Path) -> list[Check]:
    """Return a warning for a SQLite file on a network disk, where its locks do not hold."""
    place = existing_parent(Path(uri.removeprefix(_SQLITE)).parent)
    kind = network_disk(place, mounts) if uri.startswith(_SQLITE) else ""
    if not kind:
        return []
    found = f"{place} is on a network disk ({kind}); writers on two machines can damage the file"
    remedy = "set MLFLOW_TRACKING_URI to a server, or PROVOST_HOME to a folder on a local disk"
    return [_TRACKING.warn("MLflow's database", found, remedy)]


def _ask(uri: str) -> str:
    parts = urlsplit(uri)
    if uri.startswith(_SQLITE):
        return _ask_sqlite(Path(uri.removeprefix(_SQLITE)))
    if parts.scheme in {"http", "https"}:
        return _ask_server(uri)
    dialect = parts.scheme.partition("+")[0]
    if dialect in _PORTS and parts.hostname:
        address = (parts.hostname, parts.port or _PORTS[dialect])
        with socket.create_connection(address, timeout=_ANSWER_SECONDS):
            return "the database accepts connections (login and tables are not tried)"
    raise ValueError(
        f"cannot check a tracking address of scheme {parts.scheme!r}: use a database or HTTP URI"
    )


def _ask_sqlite(file: Path) -> str:
    if not file.exists():
        return "no database yet; the first record makes it"
    address = f"{file.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=_ANSWER_SECONDS)) as connection:
        runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    return f"opens, {runs} runs"


def _ask_server(uri: str) -> str:
    try:
        with urlopen(f"{uri.rstrip('/')}/health", timeout=_ANSWER_SECONDS) as answer:
            if answer.status != _OK:
                raise OSError(f"/health answered {answer.status}")
    except URLError as error:
        raise OSError(str(error.reason)) from error
    return "answers"
