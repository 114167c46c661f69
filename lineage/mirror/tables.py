"""MLflow's own tables, made by one process at a time: ``python -m lineage.mirror.tables``.

The server's replicas start together, and MLflow locks a file, which each pod has for itself. Two
that make or change the tables of one database at once both fail, and leave half of them.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

BACKEND = "MLFLOW_BACKEND_STORE_URI"
"""The server's own variable; it keeps a password out of the command line."""
_LOCK = 0x70726F76
"""Any number that nothing else in the database locks."""


def make_tables_of(uri: str) -> None:
    """Fill an empty database, or bring an older one to this version of MLflow."""
    from mlflow.store.db import utils

    engine = utils.create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
    try:
        with _only_one(engine):
            if utils._all_tables_exist(engine):  # type: ignore[no-untyped-call]
                utils._upgrade_db(engine)  # type: ignore[no-untyped-call]
            else:
                utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


@contextmanager
def _only_one(engine: "Engine") -> Iterator[None]:
    """Hold PostgreSQL's lock, which ends with the connection; a SQLite file has one machine."""
    if engine.dialect.name != "postgresql":
        yield
        return
    from sqlalchemy import text

    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": _LOCK})
        connection.commit()  # the lock is the session's; an open transaction would block changes
        yield


def main() -> int:
    """Make the tables of the database that the server will use; return the exit status."""
    uri = os.environ.get(BACKEND)
    if not uri:
        sys.stderr.write(f"no database: set {BACKEND} as for `mlflow server`\n")
        return 2
    make_tables_of(uri)
    return 0


if __name__ == "__main__":
    sys.exit(main())
