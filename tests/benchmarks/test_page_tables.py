"""Tables that are made from result files: arithmetic by hand, and what they say of a goal."""

import pytest

from benchmarks.common.checkout import RESULTS
from benchmarks.common.markdown import estimate, origin, result
from benchmarks.common.results import load, noted_reads, write_whole
from benchmarks.scale.__main__ import growth
from benchmarks.scale.tables import QUESTIONS, Question, ancestors_at, expected, records_at
from benchmarks.step import weighting_table


def test_an_estimate_comes_before_its_limits():
    assert estimate({"mean": 0.5, "low": 0.25, "high": 0.754}, 2) == "0.50 [0.25, 0.75]"


A, B = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"circumstances": {"commit": A, "clean": True}}, " (aaaaaaa)"),
        (
            {"x": {"commit": A, "clean": True}, "y": {"commit": B, "clean": False}},
            " (aaaaaaa, bbbbbbb, with changes that were not committed)",
        ),
        ({"commit": A}, " (aaaaaaa, not recorded whether with changes)"),
        ({"kills": {"commits": [A, B]}}, " (aaaaaaa, bbbbbbb)"),
        (
            {"kills": {"commits": [f"{A}+changed"]}},
            " (aaaaaaa, with changes that were not committed)",
        ),
        ({"figures": 1}, ""),
    ],
)
def test_a_table_names_commits_and_changes(content, expected):
    found = origin({RESULTS / "x.json": content})
    assert found == f"\nFrom `benchmarks/results/x.json`{expected}.\n"


def test_files_of_a_folder_are_named_together():
    of = {"circumstances": {"commit": A, "clean": True}}
    files = [RESULTS / "map" / "a.json.gz", RESULTS / "map" / "b.json.gz", RESULTS / "map.json"]
    assert origin(dict.fromkeys(files, of)) == (
        "\nFrom `benchmarks/results/map/*` (aaaaaaa), `benchmarks/results/map.json` (aaaaaaa).\n"
    )
    assert origin({}) == ""


def test_what_is_loaded_is_noted_while_a_table_is_made(tmp_path):
    write_whole(tmp_path / "a.json", {"x": 1})
    with noted_reads() as outer:
        load(tmp_path / "a.json", {})
        with noted_reads() as inner:
            load(tmp_path / "missing.json", {"x": 2})
    load(tmp_path / "a.json", {})
    assert outer == {tmp_path / "a.json": {"x": 1}}
    assert inner == {}


def test_an_organization_has_the_records_and_ancestors_that_were_counted():
    for size in result("scale")["figures"]["sizes"]:
        assert records_at(size["teams"]) == size["records"]
        assert ancestors_at(size["teams"]) == size["ancestors_of_the_last_student"]


def test_a_cost_is_expected_on_the_line_through_both_sizes():
    # 2 and 20 teams have 1,264 and 11,272 records, 200 teams 111,352: ten times further on.
    sizes = [{"share": 0.01, "cost": 1.0}, {"share": 0.1, "cost": 3.0}]
    assert expected(Question("x", ("cost",), records_at), sizes) == pytest.approx(23.0)
    assert expected(Question("x", ("cost",), None), sizes) == 3.0


def test_questions_about_the_graph_grow_in_the_table_too():
    def size(graph, clock):
        times = {"processor": clock, "clock": 9.0}
        return {"milliseconds": {"ancestors": graph}, "seconds": {"names": times}}

    grown = growth([size(2.0, 0.5), size(13.0, 1.0), size(26.0, 1.0)])
    assert grown == {"ancestors": [6.5, 2.0], "names": [2.0, 1.0]}


def test_every_measured_time_of_the_organization_that_a_person_waits_for_is_shown():
    *_, size = result("scale")["figures"]["sizes"]
    shown = {question.place[-1] for question in QUESTIONS}
    assert set(size["seconds"]) - shown == {
        "names",
        "mirror it again",
        "student list, the first of a user",
    }


def test_a_weighting_is_compared_with_the_default_of_its_own_seed(monkeypatch):
    def case(mean):
        return {"normalized": {"overall": {"mean": mean}}}

    cases = {
        "none/sequence_mean/0": case(0.9),
        "none/sequence_mean/1": case(0.8),
        "gap/token_mean/0": case(0.92),
        "gap/token_mean/1": case(0.9),
    }
    monkeypatch.setattr(weighting_table, "result", lambda _: {"cases": cases})
    best, default = weighting_table.weighting().splitlines()[2:4]
    # Gains 0.02 and 0.1: mean 0.06, deviation 0.08 / sqrt(2). Means 0.91 +- 0.02 / sqrt(2).
    assert best == "| gap, token mean | 0.910 ± 0.014 | +0.020, +0.100 | +0.060 ± 0.057 |"
    assert default == "| **none, sequence mean** (default) | 0.850 ± 0.071 | - | - |"
