"""The tables of the pages are those of the result files."""

import re

import pytest

from benchmarks.common.checkout import ROOT
from benchmarks.common.figures import TABLES, block, pages, written
from benchmarks.common.markdown import table
from benchmarks.platform.tables import WAITS, is_met, waits


@pytest.mark.parametrize("page", [*pages()], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_shows_the_figures_of_the_result_files(page):
    text = page.read_text("utf-8")
    assert written(text) == text


def test_every_table_is_on_a_page():
    whole = "".join(page.read_text("utf-8") for page in pages())
    assert [name for name in TABLES if f"<!-- figures: {name} -->" not in whole] == []


OF_NO_RESULT = {"memory", "ledger_needs", "ledger_sizes", "map_picture"}
"""Estimates by the code of today, and a picture alone."""


@pytest.mark.parametrize("name", sorted(set(TABLES) - OF_NO_RESULT))
def test_a_table_names_its_result_files_and_their_commits(name):
    text = block(name)
    assert re.search(r"From `benchmarks/results/.*\([0-9a-f]{7}", text) or "Not run yet" in text


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "results").glob("*.md")), ids=lambda page: page.name
)
def test_no_row_of_a_result_is_typed_by_hand(page):
    made = re.compile(r"<!-- figures: \w+ -->.*?<!-- end of figures -->", re.DOTALL)
    left = made.sub("", page.read_text("utf-8")).splitlines()
    assert [line for line in left if line.startswith("|") and re.search(r"\d\.\d", line)] == []


def test_a_changed_figure_is_seen():
    text = "<!-- figures: faults -->\n| by hand |\n<!-- end of figures -->"
    assert written(text) != text


def test_an_unknown_table_is_refused():
    with pytest.raises(KeyError):
        written("<!-- figures: nothing -->\n<!-- end of figures -->")


def test_a_figure_inside_a_line_is_made_anew_and_its_neighbors_stay():
    # waits.json holds 182.14 s for `make test`.
    text = "Tests take <!-- figure: waits_test -->3 s<!-- end --> of 180 s <!-- end -->."
    expected = "Tests take <!-- figure: waits_test -->182.1 s<!-- end --> of 180 s <!-- end -->."
    assert written(text) == expected


def test_an_unknown_figure_is_refused():
    with pytest.raises(KeyError):
        written("It takes <!-- figure: nothing -->3 s<!-- end -->.")


def test_a_wait_without_an_earlier_time_says_so():
    lines = waits().splitlines()
    assert lines[2].split(" | ")[1:4] == ["not measured", "64.2 s, 2.0 GB", "90 s, 2 GB"]
    assert [line for line in lines if "|  |" in line] == []


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("test", {"seconds": 180.0}, "yes"),
        ("test", {"seconds": 180.01}, "**no**"),
        ("install", {"seconds": 60.0, "gigabytes": 2.0}, "yes"),
        ("install", {"seconds": 60.0, "gigabytes": 2.01}, "**no**"),
        ("teacher_list", {"seconds": 1.0}, "-"),
    ],
)
def test_a_goal_is_met_up_to_its_limit(name, row, expected):
    assert is_met(WAITS[name], row) == expected


def test_a_table_has_a_line_for_each_row():
    assert table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
