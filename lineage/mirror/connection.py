"""The address of MLflow, its client, and protection of a run against MLflow's faults.

The client is made once a process and late, because MLflow takes seconds to import. A SQLite file
has one writer at a time, and after a failure a server is left alone for a while.
"""

import fcntl
import logging
import os
import re
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lineage.errors import plain
from lineage.mirror.tables import make_tables_of
from lineage.store.store import home

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOG = logging.getLogger("provost.lineage")
_PAUSE_SECONDS = 60.0
_SQLITE = "sqlite:///"
_DATABASES = {"postgresql", "mysql", "mssql"}
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_SECRET = re.compile(
    r"([?&;][^=&;\s]*(?:passw|pwd|token|secret|key|credential|signature)[^=&;\s]*=)[^&;\s]*",
    re.IGNORECASE,
)


def tracking_uri() -> str:
    """Return $MLFLOW_TRACKING_URI, else the SQLite file in the home folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{home() / 'mlflow.db'}"


def artifact_location(uri: str, experiment: str) -> str | None:
    """Return where an experiment's files go; None leaves it to a server."""
    if uri.startswith("http"):
        return None
    folder = Path(uri.removeprefix(_SQLITE)).parent if uri.startswith(_SQLITE) else home()
    return (folder / "mlartifacts" / experiment).as_uri()


def set_mlflow_defaults() -> None:
    """Set the variables that MLflow and libpq read: no telemetry, short timeouts."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("PGCONNECT_TIMEOUT", "4")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    # A server's client prints two lines for each run, of which a rebuild makes hundreds.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)


@contextmanager
def without_deprecation_warnings() -> Iterator[None]:
    """Keep MLflow's own deprecation warnings from the user, who can do nothing about them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


def make_tables(uri: str, make: Callable[[str], None]) -> None:
    """Let ``make`` fill a new SQLite file under another name, and rename it when it is complete.

    MLflow makes its tables in many steps and cannot go on from a half of them: a process killed
    then would leave a file that fails forever. The caller holds ``only_writer``.
    """
    path = Path(uri.removeprefix(_SQLITE))
    if not uri.startswith(_SQLITE) or path.exists():
        prepare(uri)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.new")
    for suffix in ("", "-wal", "-shm", "-journal"):
        aside.with_name(f"{aside.name}{suffix}").unlink(missing_ok=True)
    make(f"{_SQLITE}{aside}")
    aside.rename(path)
    prepare(uri)


def prepare(uri: str) -> None:
    """Make the SQLite file ready for several writers: a write-ahead log, kept in the file.

    With it a commit costs about a third, and readers (the UI) do not block writers.
    """
    if uri.startswith(_SQLITE):
        path = Path(uri.removeprefix(_SQLITE))
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        _relax(path)


@lru_cache
def _relax(path: Path) -> None:
    """Let this process's connections to the file leave the flushing to the log's checkpoints.

    A power failure may then lose the last commits, whole ones; ``reindex`` shows them again. It
    takes a checkpoint's twenty commits from 60 ms to 2.
    """
    from sqlalchemy import Engine, event  # MLflow's, as slow to import

    @event.listens_for(Engine, "connect")
    def _on_connect(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            files = [row[2] for row in connection.execute("PRAGMA database_list")]
            if str(path) in files:
                connection.execute("PRAGMA synchronous=NORMAL")


@contextmanager
def as_default(uri: str) -> Iterator[None]:
    """Make ``uri`` MLflow's default within this context.

    Its registry looks the model of a new version up there, whatever the client was given.
    """
    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        if before is None:
            del os.environ["MLFLOW_TRACKING_URI"]
        else:
            os.environ["MLFLOW_TRACKING_URI"] = before


@contextmanager
def only_writer(uri: str) -> Iterator[None]:
    """Hold the lock under which one process at a time looks up and creates.

    MLflow has no conditional create: without it, two processes that mirror one record would both
    find nothing and both create. The lock is freed when its process dies.
    """
    place = Path(uri.removeprefix(_SQLITE)).parent if uri.startswith(_SQLITE) else home()
    place.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place / "mirror.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@dataclass
class TrackingState:
    """Whether MLflow answered recently, so that a run warns once and does not wait again."""

    clock: Callable[[], float] = time.monotonic
    warned: bool = False
    paused_until: float = 0.0

    def paused(self) -> bool:
        """Return whether calls to MLflow are suspended after a failure."""
        return self.clock() < self.paused_until

    def answered(self) -> None:
        """Note that MLflow answered."""
        self.paused_until = 0.0

    def failed(self, uri: str, error: Exception) -> None:
        """Note a failure; warn the user the first time."""
        self.paused_until = self.clock() + _PAUSE_SECONDS
        if not self.warned:
            self.warned = True
            _LOG.warning(
                "MLflow at %s does not take what is recorded (%s: %s). Nothing is lost: the store "
                "holds every record, and the run goes on. When MLflow is back, "
                "`provost lineage reindex` shows there what was missed. For an out-of-date "
                "database, run `mlflow db upgrade %s` first.",
                without_password(uri),
                type(error).__name__,
                _summary(error),
                without_password(uri),
            )


def without_password(text: str) -> str:
    """Return a URI, or a text with URIs in it, without credentials.

    Removed are the password, for HTTP also the user (which may be a token), and query values named
    a password, a token, a key or a secret.
    """
    return _URI.sub(lambda found: _masked(found.group()), text)


def _masked(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    place, slash, tail = rest.partition("/")
    user, at, host = place.rpartition("@")
    name, colon, _password = user.partition(":")
    if colon or (at and scheme.startswith("http")):
        user = f"{name}:***" if colon else "***"
    return _SECRET.sub(r"\1***", f"{scheme}://{user}{at}{host}{slash}{tail}")


def _summary(error: Exception) -> str:
    """Return the lines that say most: what lies at the root, in at most 300 characters."""
    root: BaseException = error
    while root.__cause__ or root.__context__:
        root = root.__cause__ or root.__context__ or root
    return plain(without_password(" ".join(str(root).split())))[:300] or "no message"


ANSWER_SECONDS = 4.0


def reach(uri: str) -> None:
    """Raise MLflow's error if a server or a database does not answer within seconds.

    A server gets two tries. MLflow's own calls wait longer and try again, which suits a slow server
    but wastes minutes on a dead one. Files are not checked.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    set_mlflow_defaults()
    if scheme in _DATABASES:
        _connect(uri)
    if scheme not in {"http", "https"}:
        return
    from mlflow import MlflowException

    try:
        _ask(uri)
    except MlflowException:  # the server may have closed the connection that was kept from before
        _ask(uri)


def _connect(uri: str) -> None:
    """Connect to a database once."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    create_engine(uri, poolclass=NullPool).connect().close()


def _ask(uri: str) -> None:
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    http_request(  # type: ignore[no-untyped-call]
        get_default_host_creds(uri),  # type: ignore[no-untyped-call]
        "/health",
        "GET",
        max_retries=0,
        timeout=ANSWER_SECONDS,
        raise_on_status=False,
    ).close()


@lru_cache(maxsize=4)
def client_of(uri: str) -> "MlflowClient":
    """Return the client of a server or database, its tables made on first use."""
    set_mlflow_defaults()
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    with only_writer(uri):  # two processes that create the tables at once would both fail
        make_tables(uri, make_tables_of)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client
