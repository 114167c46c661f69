"""Attention of a new token by groups of queries is torch's over repeated keys and values."""

from types import SimpleNamespace

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from tasks.model.kernels import grouped_queries as kernel
from tests.support.tiny_models import tiny_model

MODULE = SimpleNamespace(num_key_value_groups=3, is_causal=True, training=False)
B, H, L, D = 4, 2, 11, 8


def inputs(num_tokens=1):
    """Return queries, keys and values of six query heads over two key heads, and a mask."""
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(B, 3 * H, num_tokens, D, generator=draw)
    key, value = torch.randn(2, B, H, L, D, generator=draw)
    visible_BL = torch.rand(B, L, generator=draw) < 0.6
    visible_BL[:, 0] = True
    return query, key, value, visible_BL[:, None, None].expand(-1, 1, num_tokens, -1)


@pytest.mark.parametrize("scaling", [None, 0.3])
def test_a_new_tokens_attention_is_that_of_torch(monkeypatch, scaling):
    query, key, value, mask = inputs()
    expected, _ = sdpa_attention_forward(MODULE, query, key, value, mask, scaling=scaling)
    monkeypatch.setattr(kernel, "sdpa_attention_forward", None)  # it is not called
    found, _ = kernel.attend(MODULE, query, key, value, mask, scaling=scaling)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("case", ["two tokens", "no mask", "a mask for each head", "soft cap"])
def test_all_else_is_torchs(monkeypatch, case):
    calls = []
    monkeypatch.setattr(
        kernel, "sdpa_attention_forward", lambda *args, **named: (calls.append(case), None)
    )
    query, key, value, mask = inputs(2 if case == "two tokens" else 1)
    if case == "no mask":
        mask = None
    if case == "a mask for each head":
        mask = mask.expand(-1, 3 * H, -1, -1)
    more = {"softcap": 30.0} if case == "soft cap" else {}
    kernel.attend(MODULE, query, key, value, mask, **more)
    assert calls == [case]


def test_a_model_on_the_cpu_keeps_its_own():
    model = tiny_model()
    with kernel.grouped_queries(model):
        assert model.config._attn_implementation == "sdpa"


@pytest.mark.gpu
def test_a_model_on_a_gpu_has_it_within_the_context_alone():
    model = tiny_model().to("cuda")
    with kernel.grouped_queries(model):
        assert model.config._attn_implementation == kernel.GROUPED
    assert model.config._attn_implementation == "sdpa"
