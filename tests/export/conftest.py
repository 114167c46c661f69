"""A family of models in the store that the commands open."""

import pytest

from lineage.store.store import open_store
from tests.support.exported_family import Family


@pytest.fixture
def store():
    return open_store()


@pytest.fixture
def family(store, tmp_path):
    return Family(store, tmp_path / "made")
