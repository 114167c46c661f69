"""What is learned from outcomes: worked out by hand, nothing below the minimum, never narrower."""

import math

import pytest

from tasks.gate.gate import _outcome_inputs
from tasks.gate.prediction import features, predict
from tasks.gate.recalibration import PastOutcome, recalibrate
from tasks.gate.verdict import GateSettings
from tests.support.measures import calibration, measured

SETTINGS = GateSettings(least_outcomes=4, prior_weight=4)


def came(*actuals, measure=None):
    return [
        PastOutcome(
            teacher=f"teacher.math@{place}",
            record=f"record {place // 2}",
            artifact=f"sha256:{place // 2:064x}",
            measure=measure or measured(),
            actual=actual,
        )
        for place, actual in enumerate(actuals)
    ]


def test_four_outcomes_move_the_mean_half_of_the_way_and_widen_the_interval():
    # Built in: 0.5 of each, with 0.1. What came is 0.9, and 4 outcomes weigh as much as it: 0.7.
    after, told = recalibrate(calibration(bias=0.0), came(0.9, 0.9, 0.9, 0.9), SETTINGS)
    found = predict(measured(), after)
    assert found.score == pytest.approx(0.7)
    assert told.bias == pytest.approx(math.log(0.7 / 0.3))
    # (4 * 0.1^2 + 4 * 0.2^2) / 8 = 0.025
    assert after.spread == told.spread == pytest.approx(math.sqrt(0.025))
    assert found.low == pytest.approx(0.7 - 1.644854 * math.sqrt(0.025))
    assert [(each.expected, each.came) for each in told.used] == [(0.5, 0.9)] * 4


def test_outcomes_as_expected_change_nothing_and_never_narrow():
    before = calibration(bias=0.0)
    after, told = recalibrate(before, came(0.5, 0.5, 0.5, 0.5, 0.5), SETTINGS)
    assert told.bias == pytest.approx(0.0, abs=1e-9)
    # sqrt(4 * 0.01 / 9) would be 0.067.
    assert after.spread == before.spread


def test_below_the_minimum_only_the_built_in_calibration_counts():
    before = calibration(bias=0.0)
    after, told = recalibrate(before, came(0.9, 0.9, 0.9), SETTINGS)
    assert after is before
    assert (told.found, told.needed, told.used) == (3, 4, ())
    assert _outcome_inputs(came(0.9, 0.9, 0.9), told) == []


def test_what_is_beyond_all_or_nothing_counts_as_that():
    # 1.4 and -0.2 are 1 and 0: their mean is what was expected.
    _, told = recalibrate(calibration(bias=0.0), came(1.4, -0.2, 1.4, -0.2), SETTINGS)
    assert told.bias == pytest.approx(0.0, abs=1e-9)
    assert [each.came for each in told.used] == [1.4, -0.2, 1.4, -0.2]


def test_an_outcome_that_no_bias_reaches_moves_it_three_logits_at_most():
    steady = GateSettings(least_outcomes=1, prior_weight=1)
    _, told = recalibrate(calibration(bias=-9.0), came(*[1.0] * 99), steady)
    assert told.bias == pytest.approx(3.0)


def test_who_is_like_an_outcome_is_unlike_nothing_any_more():
    before = calibration(bias=0.0)
    far = measured({"kl": 20.0})
    assert predict(far, before).outside == ("log_kl",)
    after, _ = recalibrate(before, came(0.9, 0.9, 0.9, 0.9, measure=far), SETTINGS)
    assert predict(far, after).outside == ()
    assert after.most["log_kl"] == features(far)["log_kl"]
    assert after.least == before.least


def test_each_comparison_that_was_used_is_an_input_once():
    rows = came(0.9, 0.8, 0.9, 0.8)
    _, told = recalibrate(calibration(bias=0.0), rows, SETTINGS)
    assert [(i.role, i.record) for i in _outcome_inputs(rows, told)] == [
        ("outcome", "record 0"),
        ("outcome", "record 1"),
    ]
