"""A family of models in the store that the commands open."""

import shutil

import pytest

from lineage.store.store import open_store
from tests.support.exported_family import Family
from tests.support.tiny_faculty import home_at


@pytest.fixture(scope="session")
def home_with_family(tmp_path_factory, mlflow_database):
    folder = tmp_path_factory.mktemp("family") / "home"
    folder.mkdir()
    shutil.copyfile(mlflow_database, folder / "mlflow.db")
    with home_at(folder):
        return folder, Family(open_store())


@pytest.fixture
def store():
    return open_store()


@pytest.fixture
def family(home, home_with_family, kept_homes):
    """Put a family, and an MLflow database without runs, into this test's home."""
    folder, made = home_with_family
    with kept_homes.lent(folder, home):
        yield made.in_store(open_store())
