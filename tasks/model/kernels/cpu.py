"""Attention of one new token per row on a CPU.

torch's fused attention is made for long queries; for one token at a time and hundreds of rows it
takes about twice as long as two batched products over the whole cache
(``benchmarks/step/sampler.py``). All other calls go to torch's.

Shapes: B rows, A query heads, H key-value heads, G query heads for each of these, L columns, D head
size, S tokens of a pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tasks.model.kernels.switch import kernels_are_on

ONE_TOKEN = "one_token"
"""Name that selects this attention in a model's config."""
_BEYOND = ("softcap", "position_bias", "output_attentions", "s_aux")
"""Options of some architectures that go beyond softmax(q k) v."""


@contextmanager
def one_token_attention(model: PreTrainedModel) -> Iterator[None]:
    """Use this attention for a model within the context, where it is faster."""
    config = model.config.get_text_config(decoder=True)
    before = config._attn_implementation
    if (
        not kernels_are_on()
        or before != "sdpa"
        or model.device.type != "cpu"
        or model.dtype != torch.float32
    ):
        yield
        return
    config._attn_implementation = ONE_TOKEN
    try:
        yield
    finally:
        config._attn_implementation = before


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **others: Any,  # noqa: ANN401 - transformers' own signature
) -> tuple[Tensor, Tensor | None]:
    """Return [B, S, A, D] for queries [B, A, S, D] over keys and values [B, H, L, D]."""
    if query.shape[2] > 1 or any(others.get(name) is not None for name in _BEYOND):
        mixed: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
        return mixed
    num_rows, num_heads, _, size = query.shape
    key_heads = key.shape[1]
    query_XGD = query.reshape(num_rows * key_heads, num_heads // key_heads, size)
    factor = size**-0.5 if scaling is None else scaling
    scores_XGL = torch.bmm(query_XGD * factor, key.flatten(0, 1).transpose(1, 2))
    if attention_mask is not None:
        scores_BHGL = scores_XGL.view(num_rows, key_heads, -1, key.shape[2])
        scores_BHGL.masked_fill_(~attention_mask, -torch.inf)
    mixed_XGD = torch.bmm(scores_XGL.softmax(-1), value.flatten(0, 1))
    return mixed_XGD.view(num_rows, 1, num_heads, value.shape[-1]), None


AttentionInterface.register(ONE_TOKEN, _attention)
# Without this, transformers makes no mask at all for a name that it does not know.
AttentionMaskInterface.register(ONE_TOKEN, sdpa_mask)
