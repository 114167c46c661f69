"""What benchmarks report is what they say: arithmetic by hand, ties, and too few numbers."""

import math

import pytest

from benchmarks.common.statistics import (
    auc,
    auc_difference,
    auc_interval,
    rank_correlation,
    ratio_of_sums,
    ratio_within_rounds,
    spread,
)
from benchmarks.gate.shares import SAME, baseline, halves, share
from benchmarks.step.balance import table


def test_median_and_quartiles_are_those_of_the_numbers_themselves():
    assert spread([1, 2, 3, 4, 5]) == {"median": 3.0, "lower": 2.0, "upper": 4.0}
    # Between 1 and 2 at a quarter: 1.25, to four digits.
    assert spread([1, 2.00004])["lower"] == 1.25


def test_the_same_order_correlates_wholly_and_the_reverse_negatively():
    assert rank_correlation([1, 2, 3], [10, 200, 3000]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_ties_share_their_mean_rank():
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    expected = 4.5 / math.sqrt(4.5 * 5)
    assert rank_correlation([0, 1, 1, 2], [0, 1, 2, 3]) == pytest.approx(expected)


@pytest.mark.parametrize("one", [[1, 1, 1], [1], []])
def test_a_constant_has_no_rank_correlation(one):
    assert math.isnan(rank_correlation(one, list(range(len(one)))))


def test_auc_is_the_share_of_pairs_in_order_and_a_tie_is_half():
    # Positives 3 and 1, negatives 2 and 1: 3 > 2, 3 > 1, 1 < 2, 1 = 1.
    scored = [(3, True), (1, True), (2, False), (1, False)]
    assert auc(scored) == (1 + 1 + 0 + 0.5) / 4


@pytest.mark.parametrize("scored", [[], [(1, True)], [(1, False)]])
def test_without_both_kinds_the_auc_is_missing(scored):
    assert math.isnan(auc(scored))


def pairs(positive, negative):
    return [*((score, True) for score in positive), *((score, False) for score in negative)]


def test_the_interval_of_one_pair_is_wilsons():
    # One of one: from 1 / (1 + 1.96^2) to 1.
    low, high = auc_interval(pairs([2], [1]))
    assert (low, high) == (pytest.approx(1 / (1 + 1.959964**2), abs=1e-6), 1.0)
    low, high = auc_interval(pairs([1], [2]))
    assert (low, high) == (0.0, pytest.approx(1 - 1 / (1 + 1.959964**2), abs=1e-6))


def test_the_limits_of_an_auc_are_196_of_their_own_errors_away():
    scored = pairs([3, 5, 6, 7], [1, 2, 4, 4, 8])
    found = auc(scored)  # 2 + 4 + 4 + 4 of 20
    assert found == 0.7
    for limit in auc_interval(scored):
        more = (4 + 5) / 2 - 1
        spread = 1 + more * (1 - limit) / (2 - limit) + more * limit / (1 + limit)
        error = math.sqrt(limit * (1 - limit) * spread / (4 * 5))
        assert abs(found - limit) / error == pytest.approx(1.959964, abs=1e-4)
    low, high = auc_interval(scored)
    assert low < found < high


def test_more_cases_narrow_the_interval_of_a_perfect_auc():
    few = auc_interval(pairs([2] * 5, [1] * 5))[0]
    many = auc_interval(pairs([2] * 50, [1] * 50))[0]
    assert few < many < 1.0
    assert all(math.isnan(limit) for limit in auc_interval(pairs([1], [])))


def test_a_difference_of_aucs_is_of_the_same_cases():
    one, other = pairs([3, 3], [1, 2]), pairs([3, 1.5], [1, 2])
    found, low, high = auc_difference(one, other, 0)
    # 1 against 3 of 4 pairs. A resample without the second positive has no difference, and one of
    # it and the second negative alone has the largest.
    assert found == 0.25
    assert (low, high) == (0.0, 1.0)
    assert auc_difference(one, one, 0) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="same cases"):
        auc_difference(one, one[:-1], 0)
    assert all(math.isnan(value) for value in auc_difference(one[:2], other[:2], 0))


def test_infinite_scores_are_compared_like_others_and_ties_count_half():
    assert auc_difference(pairs([1], [1]), pairs([2], [1]), 0)[0] == -0.5
    assert auc_difference(pairs([math.inf], [1]), pairs([0], [math.inf]), 0)[0] == 1.0


def test_a_ratio_of_sums_is_resampled_by_pairs():
    found, low, high = ratio_of_sums([0.5, 2.0], [1.0, 2.0], 0)
    # Both pairs: 2.5 / 3. The first alone 0.5, the second alone 1.
    assert found == pytest.approx(2.5 / 3)
    assert (low, high) == (0.5, 1.0)
    assert ratio_of_sums([0.3], [0.6], 0) == (0.5, 0.5, 0.5)
    assert math.isnan(ratio_of_sums([], [], 0)[0])


def test_a_ratio_is_taken_within_each_round():
    # 4/2, 9/3 and 1/1: a busy machine in one round changes both of its numbers.
    assert ratio_within_rounds([4, 9, 1], [2, 3, 1]) == 2.0


def case(kind, normalized=1.0):
    return {"kind": kind, "outcome": {"normalized": normalized}}


def test_every_other_case_of_each_kind_is_held_out():
    cases = {f"{kind}/{n}": case(kind) for kind in ("a", "b") for n in range(3)}
    fitted, held_out = halves(cases)
    assert fitted == ["a/0", "a/2", "b/0", "b/2"]
    assert held_out == ["a/1", "b/1"]


def test_an_outcome_is_a_share_of_what_fits_between_0_and_1():
    cases = {"one": case(SAME, 0.7), "two": case(SAME, 0.9), "other": case("noise", 0.1)}
    fits = baseline(cases)
    assert fits == pytest.approx(0.8)
    assert share(case("noise", 0.4), fits) == pytest.approx(0.5)
    assert (share(case("noise", -1), fits), share(case("noise", 2), fits)) == (0, 1)


def test_weightings_are_listed_from_the_best_with_their_deviation_over_seeds():
    def scored(mean):
        return {"normalized": {"math": {"mean": None}, "overall": {"mean": mean}}}

    cases = {"gap/token/0": scored(0.5), "none/token/0": scored(0.6), "none/token/1": scored(0.8)}
    head, _, best, other = table({"cases": cases}).splitlines()
    assert head.split(" | ")[2:] == ["overall", "math |"]
    # 0.6 and 0.8: mean 0.7, deviation 0.1 * sqrt(2).
    assert best == "| none/token | 2 | 0.700 ± 0.141 | - |"
    assert other == "| gap/token | 1 | 0.500 | - |"
