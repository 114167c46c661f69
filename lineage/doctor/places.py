"""The store, its trust root and signing key, and the tracking server that a process would use."""

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
from lineage.dsse import SigningKey
from lineage.errors import LineageError, StoreUnfitError
from lineage.mirror.connection import tracking_uri, without_password
from lineage.store.store import home, open_store
from lineage.trust.author import KEY_VARIABLE, given_key, own_key_path
from lineage.trust.chain import read_chain
from lineage.trust.root import TrustRoot

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


_NONE_YET = "none yet: the first run makes one"
_KEYGEN = "`provost teacher keygen FILE` makes a key; its public half goes into the trust root"


def check_keys(place: str | None = None) -> list[Check]:
    """Return the checks of a store's trust root and of the key that would sign. Makes nothing.

    The store is the one at ``place``, by default the one that commands would open.
    """
    uri = place or os.environ.get("PROVOST_STORE") or str(home() / "store")
    if "://" not in uri and not Path(uri).is_dir():
        return [_STORE.ok("trust root", _NONE_YET), _check_key(None)]
    try:
        store = open_store(uri)
        trust = read_chain(store)
    except StoreUnfitError:
        return [_check_key(None)]  # which the check of the store reports
    except LineageError as error:
        remedy = "restore the trust root from a copy of the store"
        return [_STORE.fail("trust root", str(error), remedy)]
    if trust is not None:
        keys = sum(len(team.keys) for team in trust.teams.values())
        told = f"version {trust.version} of store {trust.store[:8]}, "
        root = _STORE.ok("trust root", told + f"{len(trust.teams)} teams, {keys} keys")
    elif store.keys("records"):
        told, remedy = "none: what the store holds is unsigned", "`provost lineage adopt`"
        root = _STORE.warn("trust root", told, remedy)
    else:
        root = _STORE.ok("trust root", _NONE_YET)
    return [root, _check_key(trust)]


def _check_key(trust: TrustRoot | None) -> Check:
    try:
        key = given_key() or _own_key()
    except (LineageError, OSError) as error:
        return _STORE.fail("signing key", str(error), _KEYGEN)
    if key is None:
        return _STORE.ok("signing key", f"none yet: the first run makes {own_key_path()}")
    if trust is None:
        return _STORE.ok("signing key", f"{key.public[:16]}")
    found = trust.team_of_key(key.keyid)
    if found is None:
        remedy = f"a maintainer adds it with `provost trust publish`, or set ${KEY_VARIABLE}_FILE"
        return _STORE.fail("signing key", f"{key.public[:16]} belongs to no team", remedy)
    team, listed = found
    if problem := listed.why_not():
        return _STORE.fail("signing key", f"of {team}, but {problem}", _KEYGEN)
    until = f"until {listed.until}" if listed.until else "without an end"
    return _STORE.ok("signing key", f"{key.public[:16]} of {team}, valid {until}")


def _own_key() -> SigningKey | None:
    path = own_key_path()
    return SigningKey.from_pem(path.read_text(encoding="ascii")) if path.exists() else None
