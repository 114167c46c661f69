"""The figures of the map by hand: shares, leads and their intervals, directions, predictions."""

import json

import pytest

from benchmarks.map import shown
from benchmarks.map.picture import bars, draw
from benchmarks.map.points import AXES, CENTER, COMPARED, LADDER, REFERENCE, points
from benchmarks.map.shown import map_costs, map_leads, map_points, map_predictions
from benchmarks.map.tables import (
    NOT_COMPARABLE,
    PREDICTIONS,
    OtherForkPointError,
    courses,
    direction,
    equal_time,
    judged,
    point_figures,
    predicted,
    winner,
    with_mix_rl_of,
)


def outcomes(**scores):
    """Return rows of one domain, for each method a score of each prompt."""
    return {
        method: {
            "add": [
                {"prompt": f"p{place}", "scores": [value], "lengths": [3]}
                for place, value in enumerate(values)
            ]
        }
        for method, values in scores.items()
    }


COST = {"tokens_sampled": 10, "tokens_trained": 20, "processor_seconds": 10.0}


def case(seconds=10.5, **scores):
    costs = dict.fromkeys(scores, COST) | {"mix_rl": {**COST, "processor_seconds": seconds}}
    return {"rows": outcomes(**scores), "costs": costs}


EASY = {"fork_point": [0, 0], "teacher": [1, 1]}
FIRST = case(**EASY, student=[1, 0.5], off_policy_sft=[0.5, 0.5], mix_rl=[0, 0.5])
SECOND = case(12.0, **EASY, student=[1, 1], off_policy_sft=[1, 1], mix_rl=[0.5, 0.5])


def test_scores_are_shares_of_the_teachers_gain_over_seeds():
    found = point_figures([FIRST, SECOND], resamples=200)
    assert (found["seeds"], found["gain"]) == (2, 1.0)
    methods = found["methods"]
    assert methods["student"]["normalized"]["mean"] == 0.875  # (0.75 + 1) / 2
    assert methods["student"]["by_seed"] == [0.75, 1.0]
    assert methods["off_policy_sft"]["mopd_lead"]["mean"] == 0.125  # (0.25 + 0) / 2
    assert methods["mix_rl"]["mopd_lead"]["mean"] == 0.5  # (0.5 + 0.5) / 2
    assert methods["student"]["mopd_lead"] == {"mean": 0, "low": 0, "high": 0}
    assert methods["mix_rl"]["time_of_mopd"] == [1.05, 1.2]
    assert methods["mix_rl"]["cost"]["processor_seconds"] == 11.2  # 11.25, to the even digit
    assert not equal_time(found)
    assert equal_time(point_figures([FIRST], resamples=10))


def test_the_ladder_takes_longer_by_design_and_counts_not_for_equal_time():
    staged = case(
        **EASY, student=[1, 1], off_policy_sft=[1, 1], mix_rl=[1, 1], staged_ladder=[1, 0]
    )
    staged["costs"][LADDER] = {**COST, "processor_seconds": 27.0}
    found = point_figures([staged], resamples=10)
    assert found["methods"][LADDER]["time_of_mopd"] == [2.7]
    assert equal_time(found)


def test_a_point_says_how_often_its_teachers_are_wrong_in_each_seed():
    other = case(fork_point=[0, 0], teacher=[0.5, 1], student=[1, 1], off_policy_sft=[1, 1])
    other["rows"]["mix_rl"] = other["rows"]["student"]
    assert point_figures([FIRST, other], resamples=10)["teacher_error"] == [0.0, 0.25]


def test_mix_rl_and_its_time_are_the_centers_where_only_teachers_differ():
    center = case(12.0, **EASY, student=[1, 1], off_policy_sft=[1, 1], mix_rl=[0.5, 0.5])
    taught = case(99.0, **EASY, student=[1, 0.5], off_policy_sft=[1, 1], mix_rl=[0, 0])
    taught["costs"]["student"] = {**COST, "processor_seconds": 40.0}
    found = point_figures([with_mix_rl_of(taught, center)], resamples=10)["methods"]
    assert found["mix_rl"]["normalized"]["mean"] == 0.5
    assert found["mix_rl"]["mopd_lead"]["mean"] == 0.25  # 0.75 - 0.5
    assert found["mix_rl"]["time_of_mopd"] == [1.2]  # 12 of the center's 10, not of 40
    assert found["off_policy_sft"]["time_of_mopd"] == [0.25]  # 10 of 40
    elsewhere = case(fork_point=[0, 1], teacher=[1, 1], student=[1, 1], mix_rl=[0, 0])
    with pytest.raises(OtherForkPointError):
        with_mix_rl_of(taught, elsewhere)


def test_the_gain_of_a_point_is_that_of_all_its_domains_together():
    rows = {
        method: {
            name: [{"prompt": "p", "scores": [score]}, {"prompt": "q", "scores": [score]}]
            for name, score in zip(("add", "sort"), scores, strict=True)
        }
        for method, scores in {
            **{"fork_point": (0.0, 0.5), "teacher": (0.8, 0.7)},
            **{"student": (0.4, 0.9), "off_policy_sft": (0.8, 0.5), "mix_rl": (0, 0.5)},
        }.items()
    }
    found = point_figures([{"rows": rows, "costs": dict.fromkeys(rows, COST)}], resamples=10)
    assert found["gain"] == 0.5  # (0.8 + 0.2) / 2
    # (0.4 + 0.4) / (0.8 + 0.2); a mean of the domains' own shares would be (0.5 + 2) / 2.
    assert found["methods"]["student"]["normalized"]["mean"] == 0.8
    # Prompts of a domain agree, so resampling them changes nothing.
    assert found["methods"]["student"]["normalized"]["high"] == 0.8


def test_the_interval_of_a_lead_is_over_prompts_and_over_seeds():
    one = case(**EASY, student=[1, 1], off_policy_sft=[1, 1], mix_rl=[0, 0])
    other = case(**EASY, student=[1, 1], off_policy_sft=[0, 0], mix_rl=[0, 0])
    leads = point_figures([one, other], resamples=400)["methods"]
    # Within a seed all prompts agree: 0, 1/2 or 1 by the seeds that are drawn.
    assert leads["off_policy_sft"]["mopd_lead"] == {"mean": 0.5, "low": 0.0, "high": 1.0}
    alone = point_figures([case(**EASY, student=[1, 1], off_policy_sft=[0, 1], mix_rl=[0, 0])], 400)
    # Two prompts, of which one is lost: drawn twice, once or never.
    assert alone["methods"]["off_policy_sft"]["mopd_lead"] == {"mean": 0.5, "low": 0, "high": 1}


def test_teachers_that_may_have_gained_nothing_give_no_share():
    weak = case(
        fork_point=[0, 1], teacher=[1, 1], student=[1, 1], off_policy_sft=[1, 1], mix_rl=[1, 1]
    )
    assert point_figures([weak], resamples=100) == {
        "seeds": 1,
        "gain": 0.5,
        "teacher_error": [0.0],
        "methods": {},
    }


def method(mean, lead, half=0.05):
    return {
        "normalized": {"mean": mean, "low": mean - half, "high": mean + half},
        "mopd_lead": {"mean": lead, "low": lead - half, "high": lead + half},
        "time_of_mopd": [1.0],
        "cost": COST,
    }


def point(student, off_policy, mix_rl, errors=(0.2, 0.2), **more):
    own = {"off_policy_sft": student - off_policy, "mix_rl": student - mix_rl}
    return {
        "seeds": 2,
        "gain": 0.4,
        "teacher_error": [*errors],
        "methods": {
            "student": method(student, 0.0),
            "off_policy_sft": method(off_policy, own["off_policy_sft"]),
            "mix_rl": method(mix_rl, own["mix_rl"]),
            **{name: method(score, student - score) for name, score in more.items()},
        },
    }


@pytest.mark.parametrize(
    ("scores", "best", "is_clear"),
    [
        ((0.9, 0.8, 0.5), "student", True),
        ((0.9, 0.88, 0.5), "student", False),
        ((0.8, 0.9, 0.5), "off_policy_sft", True),
        ((0.8, 0.82, 0.5), "off_policy_sft", False),
    ],
)
def test_the_best_method_is_clear_where_the_intervals_of_mopds_leads_say_so(scores, best, is_clear):
    assert winner(point(*scores)["methods"]) == {"winner": best, "is_clear": is_clear}


@pytest.mark.parametrize(
    ("last", "expected"), [(0.2, "rises"), (0.06, "unclear"), (-0.06, "unclear"), (-0.2, "falls")]
)
def test_a_direction_needs_more_than_both_intervals(last, expected):
    # Each end has +-0.05, their difference +-0.071.
    ends = [{"mean": m, "low": m - 0.05, "high": m + 0.05} for m in (0.0, last)]
    assert direction(ends) == expected


TEACHERS = {
    "teachers-2": point(0.8, 0.9, 0.5),
    CENTER: point(0.85, 0.86, 0.5, staged_ladder=0.7),
    "teachers-12": point(0.9, 0.7, 0.5),
}
LENGTHS = {
    "length-3": TEACHERS["teachers-2"],
    CENTER: TEACHERS[CENTER],
    "length-9": TEACHERS["teachers-12"],
}


def test_an_axis_has_a_course_when_all_its_points_ran():
    first, second = courses(TEACHERS)
    assert (first["axis"], first["against"]) == ("teachers", "off_policy_sft")
    assert first["leads"] == pytest.approx([-0.1, 0.2])
    assert (first["lead"], first["why"]) == ("rises", "")
    assert second["lead"] == "rises"  # 0.3 to 0.4: by 0.1, more than 0.071
    assert courses({CENTER: TEACHERS[CENTER]}) == []


def test_ends_with_fork_points_of_other_lengths_are_compared_through_the_reference_alone():
    assert {row["lead"] for row in courses(LENGTHS)} == {NOT_COMPARABLE}
    assert {row["why"] for row in courses(LENGTHS)} == {"fork point"}
    first, _ = courses({**LENGTHS, REFERENCE: point(0.8, 0.9, 0.5)})
    assert first["ends"] == [REFERENCE, "length-9"]
    assert first["lead"] == "rises"  # from -0.1 to 0.2


@pytest.mark.parametrize(
    ("errors", "lead"),
    [((0.3, 0.4), "rises"), ((0.3, 0.1), NOT_COMPARABLE), ((0.3, 0.2), NOT_COMPARABLE)],
)
def test_the_error_axis_says_something_where_teachers_err_more_in_every_seed(errors, lead):
    found = {name: point(0.8, 0.9, 0.5) for name in (CENTER, "error-20")}
    found["error-40"] = point(0.9, 0.7, 0.5, errors)
    first, _ = courses(found)
    assert first["lead"] == lead


def test_predictions_are_judged_where_the_figures_decide():
    predictions = {
        "points": [
            {"point": "length-3", "winner": "off_policy_sft"},
            {"point": CENTER, "winner": "off_policy_sft"},
            {"point": "length-9", "winner": "mix_rl"},
            {"point": "gap-6", "winner": "student"},
        ],
        "axes": [
            {"axis": "teachers", "against": "off_policy_sft", "lead": "falls"},
            {"axis": "length", "against": "off_policy_sft", "lead": "rises"},
            {"axis": "gap", "against": "off_policy_sft", "lead": "falls"},
        ],
        "ladder": {"winner": "student"},
    }
    found = judged(predictions, {**TEACHERS, **LENGTHS})
    assert [each["holds"] for each in found["points"]] == [True, None, False, None]
    assert [each["found"] for each in found["points"]][2:] == ["student", None]
    assert [each["holds"] for each in found["axes"]] == [False, None, None]
    assert [each["found"] for each in found["axes"]] == ["rises", NOT_COMPARABLE, None]
    assert (found["ladder"]["found"], found["ladder"]["holds"]) == ("student", True)


def test_everything_was_predicted():
    given = json.loads(PREDICTIONS.read_text("utf-8"))
    assert [each["point"] for each in given["points"]] == [*points()][
        :-1
    ]  # the reference came later
    assert {each["winner"] for each in given["points"]} <= set(COMPARED)
    asked_of = [(each["axis"], each["against"]) for each in given["axes"]]
    assert asked_of == [(axis, other) for axis in AXES for other in COMPARED[1:]]
    assert {each["lead"] for each in given["axes"]} <= {"rises", "falls"}
    assert given["ladder"]["winner"] in {"student", LADDER}
    assert predicted()["ladder"]["holds"] is None


def test_the_page_has_a_line_for_every_point_and_prediction():
    assert map_points().count("\n") == 2 + len(points())
    given = json.loads(PREDICTIONS.read_text("utf-8"))
    assert map_predictions().count("\n") == 2 + len(given["points"]) + len(given["axes"]) + 1


def test_the_short_table_has_each_lead_with_its_interval(monkeypatch):
    monkeypatch.setattr(shown, "_figures", lambda: {"points": LENGTHS})
    lines = map_leads().splitlines()[2:]
    assert len(lines) == 3 * len(AXES)
    # 0.8 - 0.9 and 0.85 - 0.86, each +-0.05, and 0.8 - 0.5.
    assert lines[0] == (
        "| answer length, steps | 3 | -0.10 [-0.15, -0.05] | +0.30 [+0.25, +0.35] |"
    )
    assert lines[1].startswith("|  | 6 | -0.01 [-0.06, +0.04] |")


def test_costs_of_the_centers_mix_rl_are_shown_at_the_center_alone(monkeypatch):
    found = {name: point(0.8, 0.9, 0.5) for name in (CENTER, "gap-6", "length-3")}
    monkeypatch.setattr(shown, "_figures", lambda: {"points": found})
    mixed = [line.split("|")[1].strip() for line in map_costs().splitlines() if "Mix-RL" in line]
    assert mixed == [CENTER, "length-3"]


def test_a_panel_has_the_points_that_ran(tmp_path):
    found = {CENTER: LENGTHS[CENTER], "length-9": LENGTHS["length-9"]}
    # Values 3, 6 and 9 are at 0, 1 and 2; the first did not run.
    assert bars("length", "student", found) == [
        (1, 0.85, pytest.approx(0.05), pytest.approx(0.05)),
        (2, 0.9, pytest.approx(0.05), pytest.approx(0.05)),
    ]
    draw({"points": LENGTHS}, tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"
