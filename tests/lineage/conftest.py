"""A fresh folder store for each test, and a fresh MLflow for those that ask for one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lineage.mirror import connection, showing
from lineage.mirror.connection import TrackingState
from lineage.store.store import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """An MLflow database with its tables, made once: making them takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    connection.client_of(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that one file is all of it
    return folder / "mlflow.db"


@pytest.fixture
def client(tmp_path, template, monkeypatch):
    """An MLflow on SQLite that is the one of the environment, and its client."""
    (tmp_path / "mlflow.db").write_bytes(template.read_bytes())
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(showing, "HEALTH", TrackingState())
    return connection.client_of(uri)
