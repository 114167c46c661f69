"""An audited model goes to an accelerator where it fits there, with what is made beside it."""

import pytest
import torch

from tasks.attribution import opened, trajectory
from tasks.attribution.trajectory import size_of
from tests.support.courses import behavior, encoded, scorer, weights
from tests.support.tiny_models import tiny_policy


@pytest.mark.parametrize(("missing", "moves"), [(0, True), (1, False)])
def test_it_is_moved_where_all_copies_fit(monkeypatch, missing, moves):
    policy, moved = tiny_policy(0), tiny_policy(1)
    needed = 4 * sum(p.numel() * 4 for p in policy.model.parameters())
    monkeypatch.setattr(opened, "rank_device", lambda: torch.device("cuda", 0))
    monkeypatch.setattr(opened, "free_memory", lambda _: needed - missing)
    monkeypatch.setattr(opened, "on_rank_device", lambda _: moved)
    assert opened.placed(policy) is (moved if moves else policy)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator")
def test_without_an_accelerator_it_stays():
    policy = tiny_policy(0)
    assert opened.placed(policy) is policy
    assert policy.model.device.type == "cpu"


@pytest.mark.parametrize(("free", "directions"), [(10, 5), (5, 2), (1, 1)])
def test_as_many_directions_share_a_pass_as_three_fifths_of_what_is_free_hold(
    monkeypatch, free, directions
):
    """A point's weights are there too: 0.6 x 10 - 1 = 5."""
    found = scorer(encoded(behavior()))
    monkeypatch.setattr(found, "_device", torch.device("cuda", 0))
    monkeypatch.setattr(trajectory, "free_memory", lambda _: free * size_of(weights()))
    assert found._directions_at_once(weights()) == directions
