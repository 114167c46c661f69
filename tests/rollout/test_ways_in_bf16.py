"""In bf16 a GPU rounds by the shape of a pass. That is accepted, and a wrong way is not."""

import re

import pytest
import torch
from torch import nn

from tasks.model.kernels.shared_prefixes import PrefixRun
from tasks.model.kernels.unread_tokens import packing_of
from tasks.rollout.sampling.transformers import verified
from tasks.rollout.sampling.transformers.verified import Way, way_of
from tests.support.tiny_models import tiny_model
from tests.support.zoo import tiny


@pytest.fixture
def rounded_by_shape(monkeypatch):
    """Round the results of matrix products once more, differently for each number of rows."""
    plain = nn.Linear.forward

    def forward(module, inputs):
        draw = torch.Generator().manual_seed(inputs.shape[:-1].numel())
        result = plain(module, inputs)
        half_a_unit = (torch.rand(result.shape, generator=draw) - 0.5) * 2**-7
        return (result.float() * (1 + half_a_unit)).to(result.dtype)

    monkeypatch.setattr(nn.Linear, "forward", forward)


@pytest.mark.usefixtures("rounded_by_shape")
def test_a_deep_model_is_read_by_columns_and_packed_however_it_rounds():
    sizes = {"num_layers": 28, "hidden_size": 64, "feed_forward_size": 128}
    model = tiny_model(**sizes, weight_deviation=0.06).bfloat16()  # 3 % of the largest logit off
    assert way_of(model, 40) is Way.COLUMNS
    ids = torch.tensor([[5, 6, 7, 8, 9, 10], [5, 6, 7, 8, 11, 12]])
    assert packing_of(model, ids, [6, 6], [PrefixRun(2, 4)]) is not None


@pytest.mark.parametrize("family", ["recurrent-gemma", "rwkv"])
def test_a_wrong_way_is_seen_in_bf16(family):
    assert way_of(tiny(family).eval().bfloat16(), 24) is Way.WHOLE


def test_who_reads_whole_rows_says_how_far_its_caches_are_off(monkeypatch):
    reported = []
    monkeypatch.setattr(verified, "report", lambda *_, **said: reported.append(said["message"]))
    way_of(tiny("recurrent-gemma").eval().bfloat16(), 24)
    (message,) = reported
    (off, allowed) = map(
        float, re.findall(r"padded: logits are up to (\S+) off, of (\S+) ", message)[0]
    )
    assert float(off) > float(allowed) > 0


def test_a_lack_of_memory_does_not_count_as_a_wrong_way(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("the device is full")

    monkeypatch.setattr(verified, "reader_of", full)
    with pytest.raises(torch.OutOfMemoryError, match="the device is full"):
        way_of(tiny_model(), 24)
