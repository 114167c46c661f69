"""Tables that are made from result files: arithmetic by hand, and what they say of a goal."""

import pytest

from benchmarks.common.markdown import estimate, origin, result
from benchmarks.scale.__main__ import growth
from benchmarks.scale.tables import QUESTIONS, Question, ancestors_at, expected, records_at
from benchmarks.step import weighting_table


def test_an_estimate_comes_before_its_limits():
    assert estimate({"mean": 0.5, "low": 0.25, "high": 0.754}, 2) == "0.50 [0.25, 0.75]"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"circumstances": {"commit": "a" * 40, "clean": True}}, f"commit {'a' * 7}."),
        (
            {"x": {"commit": "a" * 40, "clean": True}, "y": {"commit": "b" * 40, "clean": False}},
            f"commit {'a' * 7}, {'b' * 7} with changes that were not committed.",
        ),
        (
            {"commit": "a" * 40},
            f"commit {'a' * 7}; whether the tree had changes was not recorded.",
        ),
    ],
)
def test_a_table_names_commits_and_changes(content, expected, monkeypatch):
    monkeypatch.setattr("benchmarks.common.markdown.result", lambda name: content)
    assert origin("x") == f"\n`benchmarks/results/x.json`, {expected}\n"


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
