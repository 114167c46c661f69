"""A PostgreSQL server for the tests that ask for one: Debian's package, started and stopped."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the address of a server's database ``postgres``, for SQLAlchemy."""
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed (Debian's package is `postgresql`)")
    if os.geteuid() not in {entry.pw_uid for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL runs as a user with a name, and this one has none")
    folder = Path(tempfile.mkdtemp(prefix="provost-pg-"))
    user = None
    if os.geteuid() == 0:  # the server refuses to run as root
        user = "postgres"
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *arguments: str) -> None:
        command = [str(PROGRAMS[-1].with_name(program)), *arguments]
        quiet = subprocess.DEVNULL
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=quiet, stderr=quiet)

    data, log = str(folder / "data"), str(folder / "log")
    run("initdb", "-D", data, "-U", "mlflow", "--auth=trust", "-E", "UTF8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    run("pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
    try:
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def new_database(server: str, name: str) -> str:
    """Return the address of a new, empty database of a server."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.rpartition("/")[0] + f"/{name}"
