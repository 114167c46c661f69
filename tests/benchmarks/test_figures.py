"""The tables of the pages are those of the result files."""

import pytest

from benchmarks.common.figures import TABLES, pages, written
from benchmarks.common.markdown import ROOT, table


@pytest.mark.parametrize("page", [*pages()], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_shows_the_figures_of_the_result_files(page):
    text = page.read_text("utf-8")
    assert written(text) == text


def test_every_table_is_on_a_page():
    whole = "".join(page.read_text("utf-8") for page in pages())
    assert [name for name in TABLES if f"<!-- figures: {name} -->" not in whole] == []


def test_a_changed_figure_is_seen():
    text = "<!-- figures: faults -->\n| by hand |\n<!-- end of figures -->"
    assert written(text) != text


def test_an_unknown_table_is_refused():
    with pytest.raises(KeyError):
        written("<!-- figures: nothing -->\n<!-- end of figures -->")


def test_a_table_has_a_line_for_each_row():
    assert table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
