"""Every page as it was reviewed; ``python -m tests.support.page_examples`` writes them anew."""

import re

import pytest

from tests.support.page_examples import SNAPSHOTS, pages
from tests.support.page_outline import outline

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_it_was_reviewed(name):
    assert outline(PAGES[name]) == (SNAPSHOTS / f"{name}.txt").read_text("utf-8")


def test_every_snapshot_has_a_page():
    assert {file.stem for file in SNAPSHOTS.iterdir()} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_nothing_and_refers_to_nothing_outside(name):
    page = PAGES[name]
    assert not re.search(r"<(script|img|iframe|link|object)", page, re.IGNORECASE)
    assert not re.search(r"<[^>]*\son\w+\s*=", page)
    assert all(
        reference.startswith("#") for reference in re.findall(r' (?:href|src)="(.*?)"', page)
    )
    assert page.index("Content-Security-Policy") < page.index("<style")
