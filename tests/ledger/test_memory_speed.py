"""The speed of memory that estimates of a run rest on."""

import time

import torch

from tasks.ledger.estimate import memory_speed


def test_it_is_the_bytes_of_four_additions_over_the_fastest_of_three_tries(monkeypatch):
    readings = iter([0.0, 2.0, 10.0, 10.5, 20.0, 21.0])
    monkeypatch.setattr(time, "perf_counter", readings.__next__)
    # Each addition reads two tensors of 2^22 numbers and writes one, of 4 bytes each: 12 x 2^22
    # bytes, four times in half a second.
    assert memory_speed(torch.device("cpu")) == 4 * 12 * 2**22 / 0.5
