"""The page on models says what each family and template does."""

import pytest

from tests.support.models_table import PAGE, page


@pytest.mark.medium
def test_the_tables_are_those_of_the_code():
    assert page() == PAGE.read_text("utf-8")
