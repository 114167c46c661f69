"""The bootstrap over behaviors."""

import pytest
import torch

from tasks.attribution.counterfactual import over_seeds
from tasks.attribution.estimators import FEWEST, estimate, resampled, share_that_name


def test_few_behaviors_have_no_interval():
    assert resampled(torch.ones(2, FEWEST - 1), 0) is None
    assert estimate(torch.tensor([1.0, 3.0]), None).low is None
    assert estimate(torch.tensor([1.0, 3.0]), None).mean == 2.0


def test_the_interval_is_that_of_a_mean():
    # 400 behaviors of mean 0 and deviation 1: the mean's is 1/20, and 95 % are within 1.96 of it
    values_B = torch.randn(400, generator=torch.Generator().manual_seed(1))
    values_B = (values_B - values_B.mean()) / values_B.std()
    found = estimate(values_B, resampled(values_B[None], 0)[0])
    assert found.low == pytest.approx(-1.96 / 20, abs=0.012)
    assert found.high == pytest.approx(1.96 / 20, abs=0.012)


def test_sources_are_resampled_together():
    table_PB = torch.tensor([[1.0, 0, 0, 0, 5], [0.0, -1, -1, -1, 4]])
    means_PR = resampled(table_PB, 0)
    # the first is one larger at every behavior, so in every resample
    assert means_PR[0] - means_PR[1] == pytest.approx(1.0)
    assert share_that_name(0, means_PR) == 1.0


def test_the_same_seed_gives_the_same_interval():
    table_PB = torch.arange(12.0).view(2, 6)
    assert (resampled(table_PB, 3) == resampled(table_PB, 3)).all()
    assert not (resampled(table_PB, 3) == resampled(table_PB, 4)).all()


def test_over_seeds_is_students_t():
    # mean 2, deviation sqrt(2), two seeds: 12.706 * sqrt(2) / sqrt(2) = 12.706
    found = over_seeds([1.0, 3.0])
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, -10.7062, 14.7062))
    assert over_seeds([1.0]).low is None


def test_the_number_of_seeds_has_no_limit():
    # 0 and 2 by turns, twelve seeds: mean 1, deviation sqrt(12 / 11), t(11) = 2.20099;
    # 2.20099 * sqrt(12 / 11) / sqrt(12) = 0.66362
    found = over_seeds([0.0, 2.0] * 6)
    assert (found.low, found.high) == pytest.approx((1 - 0.66362, 1 + 0.66362), abs=1e-5)
