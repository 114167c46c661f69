"""Sums of a step that are read once."""

import pytest
import torch

from tasks.onpolicy.step_metrics import DeviceSums


def test_scalars_and_numbers_are_added_in_fp64_and_counted():
    sums = DeviceSums()
    sums.add("kl", torch.tensor(1e8), 3)
    sums.add("kl", torch.tensor(1.0))  # fp32 would lose it
    sums.add("share", 0.1)  # a Python float stays as it is
    assert sums.totals() == {"kl": 1e8 + 1, "share": 0.1}
    assert sums.counts() == {"kl": 4.0, "share": 1.0}
    sums.clear()
    assert sums.totals() == sums.counts() == {}


def test_nothing_is_read_before_the_step_ends():
    sums = DeviceSums()
    scalar = torch.ones((), device="meta")  # holds no number: reading it raises
    sums.add("kl", scalar)
    sums.add("kl", scalar)
    with pytest.raises((RuntimeError, NotImplementedError)):
        sums.totals()
