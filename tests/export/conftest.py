"""A family of models in the store that the commands open."""

import pytest
from exported_family import Family

from lineage.store import open_store


@pytest.fixture
def family(tmp_path):
    return Family(open_store(), tmp_path / "made")
