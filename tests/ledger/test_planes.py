"""Numbers that are packed come back to the bit, and patterns in their exponents save bytes."""

import math

import pytest
import torch

from tasks.ledger.planes import is_zero, pack, pack_integers, unpack, unpack_integers

ODD = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-45, -3.4e38, 1e-38, math.pi]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (11,), (3, 0), (7, 5), (2, 3, 4)])
def test_every_bit_comes_back(dtype, shape):
    noise = torch.randn(math.prod(shape), generator=torch.Generator().manual_seed(0))
    values = (torch.tensor(ODD) if shape == (11,) else 1e-6 * noise.view(shape)).to(dtype)
    found = unpack(pack(values), dtype, shape)
    whole = torch.int32 if dtype is torch.float32 else torch.int16
    assert found.dtype == dtype
    assert torch.equal(found.view(whole), values.contiguous().view(whole))


def test_a_tensor_that_is_a_view_comes_back_too():
    values = torch.arange(24.0).view(4, 6).T
    assert torch.equal(unpack(pack(values), torch.float32, (6, 4)), values)


def test_integers_come_back():
    values = torch.tensor([[0, 1, -1], [2**31 - 1, -(2**31), 12345]], dtype=torch.int32)
    assert torch.equal(unpack_integers(pack_integers(values), (2, 3)), values)


def test_small_integers_and_even_exponents_take_little():
    noise = torch.Generator().manual_seed(0)
    units = torch.randint(-2, 3, (100_000,), generator=noise, dtype=torch.int32)
    assert len(pack_integers(units)) < 0.36 * len(units)  # log2(5) bits are 0.29 bytes
    values = 1e-6 * torch.randn(100_000, generator=noise)
    assert len(pack(values)) < 3.45 * len(values)


def test_only_a_positive_zero_is_nothing():
    assert is_zero(torch.zeros(3))
    assert not is_zero(torch.tensor([0.0, -0.0]))
    assert not is_zero(torch.tensor([0.0, 1e-45]))
