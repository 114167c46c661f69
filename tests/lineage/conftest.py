"""A fresh folder store for each test."""

from pathlib import Path

import pytest

from lineage.store import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")
