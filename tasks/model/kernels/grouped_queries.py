"""Attention of one new token per row on a GPU, without copies of keys and values.

Several query heads share each key head. Under a mask, transformers copies every key and value for
each of its query heads first, for each new token again. Here a key head's queries are the rows of
one product, so that keys and values are read once (``benchmarks/step/sampler.py``). All other calls
go to torch's.

Shapes: B rows, A query heads, H key-value heads, G query heads for each of these, L columns, D head
size, S tokens of a pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tasks.model.kernels.cpu import BEYOND

GROUPED = "grouped_queries"
"""Name that selects this attention in a model's config."""


@contextmanager
def grouped_queries(model: PreTrainedModel) -> Iterator[None]:
    """Use this attention for a model within the context, if it is on a GPU."""
    config = model.config.get_text_config(decoder=True)
    before = config._attn_implementation
    if before != "sdpa" or model.device.type != "cuda":
        yield
        return
    config._attn_implementation = GROUPED
    try:
        yield
    finally:
        config._attn_implementation = before


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **others: Any,  # noqa: ANN401 - transformers' own signature
) -> tuple[Tensor, Tensor | None]:
    """Return [B, S, A, D] for queries [B, A, S, D] over keys and values [B, H, L, D]."""
    num_rows, num_heads, num_tokens, size = query.shape
    key_heads = key.shape[1]
    of_all_heads = attention_mask is not None and attention_mask.shape[1] == 1
    beyond = any(others.get(name) is not None for name in BEYOND)
    if num_tokens > 1 or key_heads == num_heads or not of_all_heads or beyond:
        mixed: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
        return mixed
    query_BHGD = query.reshape(num_rows, key_heads, num_heads // key_heads, size)
    mixed_BHGD = scaled_dot_product_attention(
        query_BHGD, key, value, attn_mask=attention_mask, scale=scaling
    )
    return mixed_BHGD.reshape(num_rows, 1, num_heads, value.shape[-1]), None


AttentionInterface.register(GROUPED, attend)
# Without this, transformers makes no mask at all for a name that it does not know.
AttentionMaskInterface.register(GROUPED, sdpa_mask)
