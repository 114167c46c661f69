"""Where things lie on a drawn curve."""

import pytest

from tasks.reports.curves import MOST_POINTS, Curve, CurveGroup, path, round_end, thin, trend


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
    assert path([(0, 0.0), (10, 1.0)], 0, 1) == "0.00,100.00 100.00,0.00"


def test_a_curve_is_placed_between_its_first_and_last_step_and_the_ends_of_its_axis():
    assert path([(10, 2.0), (15, 3.0), (30, 6.0)], 2, 6) == "0.00,100.00 25.00,75.00 100.00,0.00"


def test_a_curve_of_one_point_is_drawn():
    assert path([(3, 0.5)], 0, 1) == "0.00,50.00"


def test_the_curves_of_a_group_share_one_axis():
    group = CurveGroup(
        title="KL", unit="nats",
        curves=(
            Curve(name="low", points=((0, 0.1), (1, 0.1))),
            Curve(name="high", points=((0, 0.73), (1, 0.2))),
        ),
    )  # fmt: skip
    assert [(each.low, each.high) for each in group.figures()] == [(0.0, 0.8)] * 2
