"""Where things lie on the inline charts."""

from tasks.evaluate.sections import SCORE_AXIS, Axis, difference_axis
from tasks.reports.rendering import environment
from tasks.statistics import Interval


def strip(*arguments):
    return str(environment().get_template("charts.html.j2").module.strip(*arguments))


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
