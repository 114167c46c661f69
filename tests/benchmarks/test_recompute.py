"""Every summary with rows is what its rows give."""

import math

import pytest

from benchmarks.common import recompute
from benchmarks.common.checkout import RESULTS, ROOT
from benchmarks.common.recompute import ROUNDED, Summary, differences, main, summaries

LONG = {"recipes.json", "map.json"}
"""Summaries that take 1 to 10 s."""


def marked(summary):
    marks = [pytest.mark.medium] if summary.name in LONG else []
    return pytest.param(summary, id=summary.name, marks=marks)


@pytest.mark.parametrize("summary", [marked(each) for each in summaries()])
def test_the_committed_summary_is_that_of_its_rows(summary):
    assert summary.committed
    assert summary.wrong() == []


@pytest.mark.parametrize(
    ("one", "other", "places"),
    [
        ({"a": [1.0, {"b": "x"}]}, {"a": [1.0, {"b": "x"}]}, []),
        ({"a": [1.0, {"b": "x"}]}, {"a": [1.0, {"b": "y"}]}, ["/a/1/b"]),
        ({"a": 1}, {"b": 1}, ["/a", "/b"]),
        ({"a": [1]}, {"a": [1, 2]}, ["/a/1"]),
        ({1: "x"}, {"1": "x"}, []),  # JSON knows no other keys than text
        ({"a": 1.0}, {"a": 1.0 + 1e-7}, []),
        ({"a": 1.0}, {"a": 1.0 + 1e-5}, ["/a"]),
        ({"a": math.nan}, {"a": math.nan}, []),
        ({"a": math.nan}, {"a": 0.0}, ["/a"]),
        ({"a": True}, {"a": False}, ["/a"]),
        ({"a": {}}, {"a": []}, []),  # nothing is there
        ({"a": []}, {"a": [1]}, ["/a", "/a/0"]),
        ({"a": None}, {"a": 0.0}, ["/a"]),
    ],
)
def test_differences_are_found_at_their_places(one, other, places):
    assert list(differences(one, other, 1e-9)) == places


def test_rows_of_four_digits_give_four_digits():
    assert list(differences({"a": 0.5}, {"a": 0.50005}, ROUNDED)) == []
    assert list(differences({"a": 0.5}, {"a": 0.5001}, ROUNDED)) == ["/a"]


def test_the_command_fails_where_a_summary_differs(monkeypatch, capsys):
    both = [Summary("a.json", {"x": 1}, lambda: {"x": 1}), Summary("b.json", 1, lambda: 2)]
    monkeypatch.setattr(recompute, "summaries", lambda: both)
    assert main() == 1
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "a.json",
        "b.json",
    ]
    monkeypatch.setattr(recompute, "summaries", lambda: both[:1])
    assert main() == 0


def test_the_page_names_every_result_without_rows():
    page = (ROOT / "benchmarks" / "README.md").read_text("utf-8").partition("## Rows")[2]
    made = {summary.name.partition("/")[0].removesuffix(".json") for summary in summaries()}
    rows = {"map", "recipes", "faults", "gate_fresh", "gate_today", "gate_rows"}
    known = {path.name.partition(".")[0] for path in RESULTS.iterdir()}
    assert [name for name in sorted(known - made - rows) if f"`{name}" not in page] == []
