"""A model goes to an accelerator where it fits there, with what is made beside it."""

import pytest
import torch

from tasks.model import devices
from tasks.model.devices import where_it_fits
from tests.support.tiny_models import tiny_policy


@pytest.mark.parametrize(("missing", "expected"), [(0, "moved"), (1, "stayed")])
def test_it_is_moved_where_all_copies_fit(monkeypatch, missing, expected):
    policy = tiny_policy(0)
    needed = 4 * sum(p.numel() * 4 for p in policy.model.parameters())
    monkeypatch.setattr(devices, "rank_device", lambda: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (needed - missing, 1 << 40))
    monkeypatch.setattr(devices, "on_rank_device", lambda _: "moved")
    found = where_it_fits(policy, 4)
    assert {"moved": "moved", "stayed": policy}[expected] is found


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator")
def test_without_an_accelerator_it_stays():
    policy = tiny_policy(0)
    assert where_it_fits(policy, 4) is policy
    assert policy.model.device.type == "cpu"
