"""How a plan is dealt to ranks, and what a process is that is alone."""

import pytest
import torch

from tasks.model.shards import as_part_of, collected, local, part_like, sum_into_part, whole
from tasks.onpolicy.distributed.sharding import replica
from tasks.onpolicy.microbatch import ScoredRollout, idle_tokens
from tasks.onpolicy.settings import Normalization
from tasks.onpolicy.step_plan import deal, plan_step
from tasks.platform import ranks
from tasks.platform.ranks import agreed, exchange, joined_ranks, num_ranks, rank, sum_over_ranks
from tasks.platform.ranks import union_over_ranks as union
from tests.support.tiny_models import rollout, tiny_model


def plan(**counts):
    """Return a microbatch for each rollout, so many of each teacher."""
    rows = [
        ScoredRollout(rollout([1, 2, 3], [2]), teacher)
        for teacher, count in counts.items()
        for _ in range(count)
    ]
    return plan_step(rows, Normalization.TOKEN_MEAN, 1, pad_id=0)


def teachers(dealt):
    return [batch and batch.teacher for batch in dealt]


def test_every_rank_does_as_many_passes_of_each_teacher():
    whole_plan = plan(code=3, math=2, tool=1)
    dealt = [deal(whole_plan, rank, 2) for rank in range(2)]
    assert teachers(dealt[0]) == ["code", "code", "math", "tool"]
    assert teachers(dealt[1]) == ["code", None, "math", None]


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 8])
def test_every_microbatch_is_done_once_and_the_weights_are_the_updates(num_ranks):
    whole_plan = plan(code=5, math=2)
    dealt = [deal(whole_plan, rank, num_ranks) for rank in range(num_ranks)]
    done = [batch for rank in dealt for batch in rank if batch is not None]
    assert sorted(map(id, done)) == sorted(map(id, whole_plan))
    assert sum(float(batch.weights_N.sum()) for batch in done) == pytest.approx(1.0)
    assert len({len(rank) for rank in dealt}) == 1
    for turn in zip(*dealt, strict=True):
        assert len({batch.teacher for batch in turn if batch is not None}) == 1


def test_alone_every_microbatch_is_ones_own():
    whole_plan = plan(code=3, math=2)
    assert deal(whole_plan, 0, 1) == whole_plan


def test_a_rank_without_a_microbatch_runs_two_tokens():
    tokens = idle_tokens(7)
    assert tokens.ids_BS.tolist() == [[7, 7]]
    assert tokens.tokens_N.tolist() == [7]


def test_without_a_launcher_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_ranks():
        assert (rank(), num_ranks()) == (0, 1)
        assert exchange("\u00e4") == ["\u00e4"]
        assert agreed({"a": [1, None]}) == {"a": [1, None]}
        assert sum_over_ranks({"x": 0.1, "y": 2.0}) == {"x": 0.1, "y": 2.0}
        assert union(["b", "a"], order=["a", "b", "c"]) == ["a", "b"]


@pytest.mark.parametrize("message", ["", "a", "\u00e4" * 9])
def test_a_message_may_be_empty(monkeypatch, message):
    others = ["", "of another rank"]

    def gathered(tensor):
        """Return this rank's tensor, and those of ranks with other messages."""
        if tensor.dtype is not torch.uint8:
            return [tensor, *(torch.tensor([len(other)]) for other in others)]
        assert len(tensor) == max(1, len(message.encode()), *map(len, others))
        rows = [other.encode().ljust(len(tensor), b"\0") for other in others]
        return [tensor, *(torch.frombuffer(bytearray(row), dtype=torch.uint8) for row in rows)]

    monkeypatch.setattr(ranks, "num_ranks", lambda: 3)
    monkeypatch.setattr(ranks, "_gathered", gathered)
    assert exchange(message) == [message, *others]


def test_what_is_whole_is_its_own_part():
    tensor = torch.arange(4.0, requires_grad=True)
    assert local(tensor) is tensor
    assert as_part_of(tensor, torch.zeros(4)) is tensor
    assert part_like(tensor, torch.zeros(4)) is tensor
    assert torch.equal(whole(tensor), tensor)
    assert not whole(tensor).requires_grad
    assert collected({"w": tensor})["w"].tolist() == [0, 1, 2, 3]
    with pytest.raises(TypeError):
        sum_into_part(tensor, torch.zeros(4))


def test_a_model_that_is_whole_is_its_own_replica():
    model = tiny_model()
    before = dict(model.named_parameters())
    with replica(model):
        assert all(p is before[name] for name, p in model.named_parameters())
