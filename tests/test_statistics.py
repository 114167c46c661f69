"""Intervals against published and hand-computed numbers, limits, and coverage by simulation."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.statistics import (
    Interval,
    Z,
    bootstrap_means,
    clustered_interval,
    mean_interval,
    mean_of_domains,
    paired_difference,
    passed,
    percentile_limits,
    t_half_width,
    wilson,
)
from tests.support.refused import refused


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),  # 8/10: center 0.9921 / 1.38415, half-width 0.22658
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), Statistics in Medicine 17:857, table I
        (15, 148, 0.0624, 0.1605),  # same table
        (0, 20, 0.0, 0.1611),  # same table: z^2 / (20 + z^2)
        (1, 29, 0.0061, 0.1718),  # same table
    ],
)
def test_wilson_gives_the_published_limits(successes, n, low, high):
    interval = wilson(successes, n)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)
    assert interval.mean == successes / n
    assert interval.n == n


def test_wilson_mirrors_when_successes_and_failures_swap():
    left, right = wilson(3, 17), wilson(14, 17)
    assert left.low == pytest.approx(1 - right.high)
    assert left.high == pytest.approx(1 - right.low)


def test_wilson_reaches_exactly_0_and_1_at_the_ends():
    assert wilson(0, 400).low == 0.0
    assert wilson(400, 400).high == 1.0


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_an_impossible_proportion(successes, n):
    with refused("not-a-proportion"):
        wilson(successes, n)


@pytest.mark.parametrize(
    ("degrees", "table"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (6, 2.4469), (30, 2.0423), (399, 1.9659)],
)
def test_the_half_width_is_the_tables_quantile_times_the_standard_error(degrees, table):
    count = degrees + 1
    values = [0.0] * degrees + [float(count)]
    # Mean 1: the squared deviations sum to degrees + degrees^2, so s^2 = count and s / sqrt(n) = 1.
    assert t_half_width(values) == pytest.approx(table, abs=1e-4)


def test_one_binary_sample_a_prompt_gives_wilson():
    assert mean_interval([[1.0]] * 8 + [[0.0]] * 2) == wilson(8, 10)


def test_clustered_interval_is_the_hand_computed_one():
    # Prompt means 1, 0.5, 0: mean 0.5, s^2 = 0.25, s / sqrt(3) = 0.288675, t(2) = 4.302653;
    # 0.5 -+ 1.242 leaves [0, 1] and is cut to it.
    interval = mean_interval([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert interval == Interval(0.5, 0.0, 1.0, 3)
    # 0.4 and 0.6: s^2 = 0.02, s / sqrt(2) = 0.1, t(1) = 12.7062; bounds -2 and 2 cut nothing.
    wide = clustered_interval([0.4, 0.6], (-2.0, 2.0))
    assert wide.low == pytest.approx(0.5 - 1.27062, abs=1e-5)
    assert wide.high == pytest.approx(0.5 + 1.27062, abs=1e-5)


def test_clustered_error_is_millers_sum_over_samples():
    rng = random.Random(0)
    samples = [[float(rng.random() < 0.1 * p) for _ in range(4)] for p in range(1, 10)] * 3
    flat = [score for scores in samples for score in scores]
    mean = sum(flat) / len(flat)
    # Miller (2024): sum over clusters of the squared sum of deviations, over samples squared.
    robust = sum(sum(s - mean for s in scores) ** 2 for scores in samples) / len(flat) ** 2
    corrected = math.sqrt(robust * len(samples) / (len(samples) - 1))
    interval = mean_interval(samples)
    assert interval.mean == pytest.approx(mean)
    assert interval.high - interval.mean == pytest.approx(2.055529 * corrected)  # t(26)


def test_identical_samples_of_a_prompt_add_no_certainty():
    once = [[0.25], [0.75], [0.5], [1.0]]
    assert mean_interval([scores * 8 for scores in once]) == mean_interval(once)


def test_fractional_scores_keep_their_mean():
    assert mean_interval([[0.25], [0.5], [0.75]]).mean == 0.5


def test_agreement_of_all_prompts_is_not_certainty():
    # w = z^2 / (n + z^2) = 3.8415 / 13.8415 = 0.27753; at 1 this is Wilson for 10 of 10.
    perfect = mean_interval([[1.0, 1.0]] * 10)
    assert perfect.low == pytest.approx(wilson(10, 10).low)
    assert perfect.high == 1.0
    middle = mean_interval([[0.5]] * 10)
    assert (middle.low, middle.high) == pytest.approx((0.5 - 0.13877, 0.5 + 0.13877), abs=1e-5)


def test_one_prompt_says_little():
    only = mean_interval([[0.5]])
    share = Z**2 / (1 + Z**2)
    assert (only.low, only.high) == pytest.approx((0.5 - share / 2, 0.5 + share / 2))


def test_paired_difference_is_the_hand_computed_one():
    # Differences 1, 0, 0, 0, 1: mean 0.4, s^2 = 0.3, s / sqrt(5) = 0.244949, t(4) = 2.7764.
    difference = paired_difference([[1], [1], [0], [0], [1]], [[0], [1], [0], [0], [0]])
    assert difference.mean == pytest.approx(0.4)
    assert difference.low == pytest.approx(0.4 - 0.68009, abs=1e-4)
    assert difference.high == 1.0  # 1.08 is cut: no difference exceeds 1


def test_pairing_removes_what_prompts_have_in_common():
    base = [[float(index % 2)] for index in range(100)]
    better = [[1.0] if index < 10 else scores for index, scores in enumerate(base)]
    difference = paired_difference(better, base)
    apart = math.hypot(
        mean_interval(better).high - mean_interval(better).mean,
        mean_interval(base).high - mean_interval(base).mean,
    )
    assert difference.mean == pytest.approx(0.05)
    assert difference.high - difference.mean < apart / 3


def test_paired_difference_changes_sign_when_swapped():
    one, other = [[1], [1], [0], [1]], [[0], [1], [0], [0]]
    forward, backward = paired_difference(one, other), paired_difference(other, one)
    assert forward.mean == -backward.mean
    assert forward.low == pytest.approx(-backward.high)


def test_a_method_against_itself_differs_by_zero_but_not_surely():
    same = paired_difference([[1.0], [0.0]] * 200, [[1.0], [0.0]] * 200)
    share = Z**2 / (400 + Z**2)
    assert same == Interval(0.0, -share, share, 400)


def test_paired_difference_refuses_other_prompts():
    with refused("unpaired-prompts"):
        paired_difference([[1.0]], [[1.0], [0.0]])


def test_mean_of_domains_adds_variances():
    # Half-widths 0.3 and 0.4: sqrt(0.09 + 0.16) / 2 = 0.25.
    overall = mean_of_domains([Interval(0.5, 0.2, 0.8, 100), Interval(0.6, 0.2, 1.0, 50)])
    assert overall.mean == pytest.approx(0.55)
    assert overall.low == pytest.approx(0.30)
    assert overall.high == pytest.approx(0.80)
    assert overall.n == 150


def test_mean_of_domains_keeps_the_asymmetry():
    overall = mean_of_domains([wilson(100, 100), wilson(50, 100)])
    assert overall.mean - overall.low > overall.high - overall.mean


def test_mean_of_one_domain_is_that_domain():
    only = wilson(30, 40)
    overall = mean_of_domains([only])
    assert (overall.low, overall.high) == pytest.approx((only.low, only.high))


def test_mean_of_no_domain_is_refused():
    with refused("no-domains"):
        mean_of_domains([])


def test_a_threshold_turns_scores_into_passes_from_the_bar_on():
    assert passed([[0.4, 0.5, 0.6]], {"math": 0.5}, "math") == [[0.0, 1.0, 1.0]]
    assert passed([[0.4]], {"math": 0.5}, "code") == [[0.4]]


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan])
def test_scores_outside_0_to_1_are_refused(score):
    with refused("score-out-of-range"):
        mean_interval([[score]])


@pytest.mark.parametrize("samples", [[], [[]], [[1.0], []]])
def test_nothing_to_average_is_refused(samples):
    with refused("no-scores"):
        mean_interval(samples)


@pytest.mark.parametrize("limits", [(0.6, 0.9), (0.1, 0.4), (math.nan, 0.9)])
def test_an_interval_that_misses_its_mean_is_refused(limits):
    with refused("not-an-interval", *map(str, limits)):
        Interval(0.5, *limits, n=10)


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1, max_size=30))
def test_every_interval_holds_its_mean_and_stays_within_the_scores_range(samples):
    interval = mean_interval(samples)
    assert 0 <= interval.low <= interval.high <= 1
    assert interval.low - 1e-9 <= interval.mean <= interval.high + 1e-9


@pytest.mark.parametrize("samples_per_prompt", [1, 4])
def test_intervals_cover_the_true_mean_95_times_of_100(samples_per_prompt):
    rng = random.Random(7)
    trials, covered = 1000, 0
    for _ in range(trials):
        # Prompts differ in difficulty: solved with chance 0.2 or 0.9; the true mean is 0.55.
        chances = [rng.choice((0.2, 0.9)) for _ in range(60)]
        samples = [
            [float(rng.random() < chance) for _ in range(samples_per_prompt)] for chance in chances
        ]
        covered += not mean_interval(samples).excludes(0.55)
    # The binomial spread of 1000 trials is 0.7 points: 3 of them either way.
    assert 0.93 <= covered / trials <= 0.97


def test_ignoring_the_clusters_would_cover_too_seldom():
    rng = random.Random(7)
    covered = 0
    for _ in range(300):
        chances = [rng.choice((0.2, 0.9)) for _ in range(60)]
        flat = [[float(rng.random() < chance)] for chance in chances for _ in range(4)]
        covered += not mean_interval(flat).excludes(0.55)
    assert covered / 300 < 0.9


def test_the_bootstrap_resamples_units_and_not_rows():
    # The second row is the first plus 1 at every unit: so is every mean of the same resample.
    means_KR = bootstrap_means([[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]], 0, resamples=50)
    assert means_KR.shape == (2, 50)
    assert means_KR[1] - means_KR[0] == pytest.approx(1.0)
    assert len(set(means_KR[0])) > 3


def test_a_small_memory_budget_changes_no_resample(monkeypatch):
    whole = bootstrap_means([[0.0, 2.0, 4.0, 9.0]], 5, resamples=100)
    monkeypatch.setattr("tasks.statistics._NUMBERS_AT_ONCE", 28)  # seven resamples at a time
    assert (bootstrap_means([[0.0, 2.0, 4.0, 9.0]], 5, resamples=100) == whole).all()


def test_the_percentile_limits_leave_a_fortieth_on_each_side():
    # 0..2000: 2.5 % of 2000 is 50.
    assert percentile_limits([float(value) for value in range(2001)]) == pytest.approx((50, 1950))


def test_a_limit_among_infinite_values_is_not_finite():
    low, high = percentile_limits([0.5] * 1940 + [math.inf] * 60)
    assert low == 0.5
    assert not math.isfinite(high)
