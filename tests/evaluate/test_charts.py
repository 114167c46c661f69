"""Where things lie on the inline charts."""

import re

import pytest

from tasks.evaluate.charts import (
    MOST_POINTS,
    SCORE_AXIS,
    Axis,
    curve,
    difference_axis,
    round_end,
    strip,
    thin,
    trend,
)
from tasks.evaluate.statistics import Interval


def test_places_on_an_axis_are_shares_of_its_length():
    axis = Axis(-0.5, 0.5, ())
    assert [axis.percent(v) for v in (-0.5, 0, 0.25, 9)] == ["0.00%", "50.00%", "75.00%", "100.00%"]


def test_places_do_not_depend_on_the_unit_of_the_axis():
    assert Axis(10, 30, ()).percent(15) == "25.00%"


def test_a_strip_draws_interval_mean_and_band_in_their_places():
    drawn = strip(SCORE_AXIS, Interval(0.5, 0.4, 0.7, 10), "student", (0.9, 0.2))
    assert '<rect class="interval" y="32%" height="36%" x="40.00%" width="30.00%">' in drawn
    assert '<line class="mean" x1="50.00%" x2="50.00%"' in drawn
    assert '<rect class="band" height="100%" x="20.00%" width="70.00%">' in drawn
    assert "0.500 (0.400 to 0.700)" in drawn


def test_the_score_axis_runs_from_0_to_1():
    assert (SCORE_AXIS.low, SCORE_AXIS.high) == (0, 1)
    assert SCORE_AXIS.ticks == (0, 0.25, 0.5, 0.75, 1)


def test_only_a_difference_axis_marks_its_zero():
    interval = Interval(0.1, 0.0, 0.2, 10)
    assert strip(SCORE_AXIS, interval, "", None).count('class="zero"') == 0
    drawn = strip(Axis(-0.4, 0.4, (-0.4, 0.0, 0.4)), interval, "", None)
    assert drawn.count('<line class="zero" x1="50.00%"') == drawn.count('class="zero"') == 1


def test_the_band_lies_behind_the_interval():
    drawn = strip(SCORE_AXIS, Interval(0.5, 0.4, 0.7, 10), "student", (0.2, 0.9))
    assert drawn.index("band") < drawn.index("grid") < drawn.index("interval")


def test_the_difference_axis_is_symmetric_and_holds_every_limit():
    axis = difference_axis([Interval(0.1, -0.32, 0.2, 9), Interval(0.0, -0.1, 0.1, 9)])
    assert (axis.low, axis.high) == (-0.4, 0.4)
    assert axis.ticks == (-0.4, -0.2, 0.0, 0.2, 0.4)
    assert difference_axis([Interval(0.0, -1.0, 1.0, 1)]).high == 1.0
    assert difference_axis([Interval(0.0, -0.3, 0.3, 9)]).high == 0.3
    assert difference_axis([Interval(0.0, 0.0, 0.0, 9)]).high == 0.1


@pytest.mark.parametrize(
    ("value", "end"), [(0.53, 0.6), (0.6, 0.6), (7.2, 8), (0.011, 0.02), (0, 1), (-3, 1)]
)
def test_axes_end_at_a_round_number(value, end):
    assert round_end(value) == pytest.approx(end)


def test_a_short_curve_keeps_its_points_and_a_long_one_its_ends_and_mean():
    short = [(0.0, 1.0), (1.0, 3.0)]
    assert thin(short) == short
    long = [(float(step), float(step % 7)) for step in range(10_000)]
    thinned = thin(long)
    assert len(thinned) == MOST_POINTS
    assert (thinned[0], thinned[-1]) == (long[0], long[-1])
    steps = [step for step, _ in thinned]
    assert steps == sorted(set(steps))
    # 9998 inner points in 198 stretches: the first holds steps 1 to 50, their mean is 25.5.
    assert steps[1] == 25.5
    assert sum(value for _, value in thinned) / len(thinned) == pytest.approx(3, abs=0.05)


def test_the_trend_is_the_mean_of_the_points_around():
    points = [(float(step), float(step % 2)) for step in range(40)]
    # 40 // 20 = 2 points to each side: 0, 1, 0, 1, 0 around an even step.
    assert trend(points)[10] == (10.0, pytest.approx(2 / 5))
    assert trend(points)[0] == (0.0, pytest.approx(1 / 3))
    assert trend([(5.0, 0.7)]) == [(5.0, 0.7)]


def test_a_curve_rises_on_the_page_when_it_rises():
    drawn = curve([(0, 0.0), (10, 1.0)], 0, 1, "line")
    assert re.findall(r'class="raw" points="([^"]*)"', drawn) == ["0.00,100.00 100.00,0.00"]


def test_a_curve_is_placed_between_its_first_and_last_step_and_the_ends_of_its_axis():
    drawn = curve([(10, 2.0), (15, 3.0), (30, 6.0)], 2, 6, "line")
    assert 'class="raw" points="0.00,100.00 25.00,75.00 100.00,0.00"' in drawn


def test_a_curve_has_lines_at_the_ends_and_the_middle_of_its_axis():
    drawn = curve([(0, 0.0), (10, 1.0)], 0, 1, "line")
    assert re.findall(r'x1="(\d+)" x2="(\d+)" y1="(\d+)" y2="(\d+)"', drawn) == [
        ("0", "100", height, height) for height in ("0", "50", "100")
    ]


def test_a_curve_of_one_point_is_drawn():
    assert 'points="0.00,50.00"' in curve([(3, 0.5)], 0, 1, "line")
