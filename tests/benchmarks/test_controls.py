"""The figures of the comparison with controls, by hand."""

import json

import pytest

from benchmarks.controls import shown
from benchmarks.controls.__main__ import left
from benchmarks.controls.one_seed import first_round, second_round
from benchmarks.controls.planned import CORE, SEEDS, WHOLE, controls_of, seeds_of
from benchmarks.controls.shown import (
    METHODS,
    PREDICTIONS,
    controls_goals,
    controls_methods,
    controls_predictions,
)
from benchmarks.controls.tables import CONTROLS, goals, judged, summary, with_best_teacher
from tasks.contracts.controls import Control


def outcomes(values):
    return [
        {"prompt": f"p{place}", "scores": [value], "lengths": [3]}
        for place, value in enumerate(values)
    ]


COST = {"tokens_sampled": 10, "tokens_trained": 20, "processor_seconds": 10.0}


def case(teachers=None, costs=None, **scores):
    """Return a seed of one domain with two prompts, for each method a score of each prompt."""
    rows = {method: {"add": outcomes(values)} for method, values in scores.items()}
    return {
        "rows": rows,
        "teachers": teachers or {"add": {"add": outcomes(scores["teacher"])}},
        "costs": dict.fromkeys(scores, COST) | (costs or {}),
    }


EASY = {"fork_point": [0, 0], "teacher": [1, 1]}
SLOW = {"ties": {**COST, "processor_seconds": 13.0}}
FIRST = case(**EASY, student=[1, 0.5], ties=[0.5, 0], costs=SLOW)
SECOND = case(fork_point=[0, 0], teacher=[0.5, 0.5], student=[0.5, 0.25], ties=[0.5, 0.25])
ALONE = case(**EASY, student=[1, 1])


def test_scores_are_shares_of_the_teachers_gain_over_seeds():
    found = summary([FIRST, SECOND], resamples=50)
    assert found["ties"]["scores"] == {"add": 0.3125}  # (0.25 + 0.375) / 2
    # Means over seeds first: (0.25 + 0.375) / (1 + 0.5). The mean of both shares would be 0.5.
    assert found["ties"]["normalized"]["mean"] == 0.4167
    assert found["ties"]["by_seed"] == [0.25, 0.75]
    assert found["student"]["normalized"]["mean"] == 0.75
    assert found["ties"]["mopd_lead"]["mean"] == 0.3333  # 0.75 - 0.4167
    assert found["ties"]["time_of_mopd"] == [1.3, 1.0]


def test_a_lead_that_differs_between_seeds_has_an_interval_over_seeds():
    # Prompts of a seed agree, so an interval over prompts alone would be narrow.
    ahead = case(**EASY, student=[0.7, 0.7], ties=[0.5, 0.5])
    behind = case(**EASY, student=[0.7, 0.7], ties=[0.8, 0.8])
    lead = summary([ahead, behind], resamples=400)["ties"]["mopd_lead"]
    assert lead == {"mean": 0.05, "low": -0.1, "high": 0.2}


def test_a_control_that_one_seed_lacks_is_compared_on_the_others():
    found = summary([ALONE, FIRST], resamples=50)
    assert (found["ties"]["seeds"], found["student"]["seeds"]) == (1, 2)
    assert found["ties"]["normalized"]["mean"] == 0.25
    assert found["ties"]["mopd_lead"]["mean"] == 0.5  # of the same seed: 0.75 - 0.25
    rows = [{"method": name, "normalized": [0.2, 0.3]} for name in ("ties", "dare")]
    judgment = [(row["found"], row["holds"]) for row in judged(rows, found)]
    assert judgment == [(0.25, True), (None, None)]


def test_the_best_teacher_is_best_on_all_domains_and_has_no_cost():
    teachers = {
        "add": {"add": outcomes([1, 1]), "sort": outcomes([0, 0])},
        "sort": {"add": outcomes([0.5, 0.5]), "sort": outcomes([1, 1])},
    }
    both = {
        method: {"add": outcomes([value] * 2), "sort": outcomes([value] * 2)}
        for method, value in {"fork_point": 0.25, "teacher": 1, "student": 0.75}.items()
    }
    seed = {"rows": both, "teachers": teachers, "costs": {"student": COST}}
    assert with_best_teacher(seed)["rows"]["best_teacher"] == teachers["sort"]
    found = summary([seed], resamples=20)["best_teacher"]
    assert found["scores"] == {"add": 0.5, "sort": 1.0}
    assert found["normalized"]["mean"] == 0.6667  # (0.75 - 0.25) / (1 - 0.25)
    assert "cost" not in found


@pytest.mark.parametrize(("limits", "holds"), [([0.4, 0.5], True), ([0.51, 1.0], False)])
def test_a_prediction_holds_if_the_score_lies_in_it(limits, holds):
    found = {"ties": {"normalized": {"mean": 0.5}}}
    (row,) = judged([{"method": "ties", "normalized": limits, "why": ""}], found)
    assert (row["found"], row["holds"]) == (0.5, holds)


def around(mean, half):
    return {"mean": mean, "low": mean - half, "high": mean + half}


@pytest.mark.parametrize(("half", "holds"), [(0.01, True), (0.03, None)])
def test_a_goal_is_met_where_the_whole_interval_meets_it(half, holds):
    found = {"student": {"normalized": around(0.97, half)}}
    mopd, second, _ = goals(found)
    assert (mopd["least"], mopd["holds"]) == (0.95, holds)
    assert (second["least"], second["holds"]) == (0.98, None)


@pytest.mark.parametrize(("lead", "holds"), [(0.2, True), (0.05, None), (-0.2, False)])
def test_mopd_is_above_every_control_where_each_lead_says_so(lead, holds):
    found = {name: {"mopd_lead": around(0.2, 0.1)} for name in CONTROLS}
    found["dare"] = {"mopd_lead": around(lead, 0.1)}
    *_, above = goals(found)
    assert above["holds"] is holds
    assert above["found"] == ([] if holds else ["dare"])
    del found["ties"]
    assert goals(found)[-1]["holds"] is (False if holds is False else None)


def test_core_controls_have_five_seeds_and_the_others_two():
    assert [len(controls_of(seed)) for seed in SEEDS] == [12, 12, 5, 5, 5]
    assert [seeds_of(name) for name in ("student", "mix_rl", "ties", "second_round")] == [
        5,
        5,
        2,
        2,
    ]
    assert {control for seed in SEEDS for control in controls_of(seed)} == set(Control)
    for seed in SEEDS:
        wanted = ",".join(control.value for control in controls_of(seed))
        assert f"controls={wanted}" in first_round(seed).settings
    assert set(CORE) <= set(controls_of(WHOLE[0]))


def test_a_second_round_is_the_same_merge_with_teachers_that_climb_again():
    first, second = first_round(1), second_round(1)
    assert (first.is_refreshed, second.is_refreshed) == (False, True)
    assert second.round == first.round
    assert "controls=none" in second.settings
    assert second.name != first.name


def test_the_seeds_that_are_left_are_listed_with_what_they_have(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.controls.__main__.FOLDER", tmp_path)
    (tmp_path / "0.json.gz").touch()
    assert [*left()][:2] == ["1 12 controls, and a second round\n", "2 5 controls\n"]


def test_every_method_was_predicted():
    predicted = {each["method"] for each in json.loads(PREDICTIONS.read_text())}
    assert predicted == {"student", *(control.value for control in Control)}


def test_the_page_has_a_line_for_every_method_and_goal(monkeypatch):
    found = summary([FIRST, FIRST], resamples=50)
    assert controls_goals().count("| n.r. | not decided |") == 3
    monkeypatch.setattr(shown, "_figures", lambda: {"methods": found, "goals": goals(found)})
    lines = controls_methods().splitlines()[2:]
    assert len(lines) == len(METHODS)
    line = next(each for each in lines if each.startswith("| TIES |"))
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert (cells[1], cells[4:]) == ("2 of 2", ["-", "10", "20", "13"])  # a merge: no time given
    assert lines[-1].split("|")[2].strip() == "0 of 2"
    *_, above = controls_goals().splitlines()
    assert "not shown for best teacher, parameter average" in above
    assert "TIES" not in above  # its lead is 0.5 at each prompt
    assert controls_predictions().count("\n") == 2 + 1 + len(Control)


def test_a_trained_control_beyond_the_time_of_mopd_is_marked(monkeypatch):
    costs = {"mix_rl": {**COST, "processor_seconds": 12.0}}
    found = summary([case(**EASY, student=[1, 1], mix_rl=[1, 1], costs=costs)], resamples=20)
    monkeypatch.setattr(shown, "_figures", lambda: {"methods": found})
    line = next(each for each in controls_methods().splitlines() if each.startswith("| Mix-RL |"))
    assert line.split("|")[5].strip() == "**no**"
