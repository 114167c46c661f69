"""Moments over a step's tokens: of advantages for the ledger, of log-ratios for the weighting."""

import pytest
import torch

from tasks.onpolicy.step_metrics import MomentSums, TokenMoments


def test_moments_are_means_over_the_tokens_of_all_chunks():
    sums = MomentSums()
    sums.add("math", torch.tensor([1.0, -2.0]))
    sums.add("math", torch.tensor([4.0]))
    sums.add("code", torch.tensor([-3.0]))
    # 1, -2 and 4: sizes 1 + 2 + 4, sum 3, squares 1 + 4 + 16.
    math = TokenMoments(size=7 / 3, mean=1.0, square=7.0, tokens=3)
    assert sums.moments() == {"math": math, "code": TokenMoments(3.0, -3.0, 9.0, 1)}
    assert math.variance == pytest.approx(6.0)  # 7 - 1


def test_a_variance_is_never_below_zero():
    # Rounding may leave the mean square below the square of the mean.
    assert TokenMoments(mean=1.0, square=1.0 - 1e-16, tokens=9).variance == 0.0


def test_a_name_without_tokens_has_no_moments():
    sums = MomentSums()
    sums.add("math", torch.zeros(0))
    assert sums.moments() == {}


def test_half_precision_is_summed_in_double():
    sums = MomentSums()
    for _ in range(300):
        sums.add("math", torch.ones(1, dtype=torch.bfloat16))
    assert sums.moments()["math"].mean == 1.0
