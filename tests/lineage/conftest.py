"""A fresh folder store for each test, and a fresh MLflow for those that ask for one."""

from pathlib import Path

import pytest

from lineage.mirror import connection, showing
from lineage.mirror.connection import TrackingState
from lineage.store.store import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def client(tmp_path, mlflow_database, monkeypatch):
    """An MLflow on SQLite that is the one of the environment, and its client."""
    (tmp_path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(showing, "HEALTH", TrackingState())
    return connection.client_of(uri)
