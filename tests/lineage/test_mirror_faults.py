"""An MLflow that is slow, out of date, broken or shared by many never stops a run."""

import logging
import multiprocessing
import os
import socket
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from lineage import mirror
from lineage.mirror import connection, showing
from lineage.mirror.connection import TrackingState, without_password
from lineage.store.store import open_store
from tests.support.making import write_record

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A home of its own, and a mirror that has not met a failure yet."""
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(showing, "HEALTH", TrackingState())
    connection.client_of.cache_clear()
    showing.mirror_of.cache_clear()
    return tmp_path / "mlflow.db"


@pytest.mark.medium
def test_a_server_that_never_answers_costs_seconds_once(store, place, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        records = [write_record(store, b"%d" % n, number=n)[0] for n in range(3)]
        with caplog.at_level(logging.WARNING, "provost.lineage"):
            assert [mirror.mirror_record(store, record) for record in records] == [False] * 3
    assert len([row for row in caplog.records if row.name == "provost.lineage"]) == 1


@pytest.mark.parametrize("is_open", [True, False])
# With a user, because libpq looks up the name of the one who runs it, who may have none.
@pytest.mark.parametrize("scheme", ["http://", "postgresql+psycopg2://reader@"])
def test_a_rebuild_reports_a_missing_mlflow_in_seconds(store, place, monkeypatch, scheme, is_open):
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.3)
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")  # the least that libpq takes
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        if not is_open:
            silent.close()
        started = time.monotonic()
        with pytest.raises((MlflowException, OperationalError)) as caught:
            mirror.reindex(store, f"{scheme}{address}/m")
        assert time.monotonic() - started < 10
    assert address.rpartition(":")[2] in str(caught.value)


def test_the_waits_for_mlflow_add_up_to_less_than_20_seconds(monkeypatch):
    names = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "PGCONNECT_TIMEOUT")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    connection.set_mlflow_defaults()
    seconds, retries, database = (int(os.environ[name]) for name in names)
    assert seconds * (1 + retries) < 20
    assert 2 * connection.ANSWER_SECONDS < 20
    assert 0 < database < 20


@pytest.mark.parametrize("damage", ["older", "garbage"])
def test_a_database_of_another_version_or_a_missing_one_is_reported(store, place, caplog, damage):
    record, _ = write_record(store, b"a")
    if damage == "older":
        with closing(sqlite3.connect(place)) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
            connection.execute("CREATE TABLE experiments (experiment_id INTEGER)")
            for table in ("runs", "metrics", "params", "tags"):
                connection.execute(f"CREATE TABLE {table} (x INTEGER)")
            connection.execute("INSERT INTO alembic_version VALUES ('451aebb31d03')")
            connection.commit()
    else:
        place.write_bytes(b"this is no database" * 1000)
    with caplog.at_level(logging.WARNING, "provost.lineage"):
        assert not mirror.mirror_record(store, record)
    assert "mlflow db upgrade" in caplog.text


def show(uri: str, records: list[str], gate) -> None:
    store = open_store(uri)
    gate.wait()
    for record in records:
        assert mirror.mirror_record(store, record)


@pytest.mark.slow
def test_four_processes_show_the_same_records_once(store, place):
    records = [write_record(store, b"%d" % n, number=n)[0] for n in range(10)]
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(4)
    writers = [context.Process(target=show, args=(store.uri, records, gate)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    client = connection.client_of(f"sqlite:///{place}")
    experiment = client.get_experiment_by_name("teachers").experiment_id
    assert len(client.search_runs([experiment])) == 10
    assert len(client.search_logged_models([experiment])) == 10


@pytest.mark.medium
def test_two_threads_may_mirror_at_once(store, place):
    records = [write_record(store, b"%d" % n, number=n)[0] for n in range(4)]
    done = []
    threads = [
        threading.Thread(target=lambda r=r: done.append(mirror.mirror_record(store, r)))
        for r in records
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True] * 4


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://mlflow:se:cret@db:5432/mlflow", "postgresql://mlflow:***@db:5432/mlflow"),
        ("postgresql://mlflow@db/mlflow", "postgresql://mlflow@db/mlflow"),
        ("sqlite:////x/mlflow.db", "sqlite:////x/mlflow.db"),
        ("https://secret@host/mlflow", "https://***@host/mlflow"),
        ("https://ann:secret@host", "https://ann:***@host"),
        ("mysql://db/mlflow?user=ann&password=secret", "mysql://db/mlflow?user=ann&password=***"),
        ("https://host/x?access_token=secret&a=b", "https://host/x?access_token=***&a=b"),
        ("no answer from 'https://secret@host': 503", "no answer from 'https://***@host': 503"),
        ("file.txt: no URI", "file.txt: no URI"),
    ],
)
def test_credentials_of_a_tracking_server_are_not_printed(uri, shown):
    assert without_password(uri) == shown
