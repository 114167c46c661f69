"""Kernels for a CPU: RMS norms with a hand-written derivative, attention of one new token per row.

To autograd, a model's own norm is five operations. Each has its own pass over the hidden states,
forward and backward, and its own saved tensors. Written by hand, it keeps one tensor and makes half
as many passes. Other devices have kernels for it, and other precisions round in between.

torch's fused attention is made for long queries; for one token at a time and hundreds of rows it
takes about twice as long as two batched products over the whole cache
(``benchmarks/step/sampler.py``). All other calls go to torch's.

Shapes: ``...`` any, B rows, A query heads, H key-value heads, G query heads for each of these, L
columns, D hidden size or head size, S tokens of a pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_CLOSE = 1e-5


class _Normed(torch.autograd.Function):
    """y = w x / rms(x), with rms(x)^2 = mean(x^2) + eps (1910.07467, eq. 4)."""

    @staticmethod
    def forward(ctx: Any, x_D: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:  # noqa: ANN401
        size = x_D.shape[-1]
        squared_1 = torch.linalg.vector_norm(x_D, dim=-1, keepdim=True).square_()
        scale_1 = squared_1.div_(size).add_(epsilon).rsqrt_()
        unit_D = x_D * scale_1
        ctx.save_for_backward(unit_D, scale_1, weight_D)
        y_D: Tensor = unit_D * weight_D
        return y_D

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, back_D: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        """With u = x / rms: dw = sum g u, dx = (g w - u mean(g w u)) / rms."""
        unit_D, scale_1, weight_D = ctx.saved_tensors
        product_D = back_D * unit_D
        along_1 = (product_D @ weight_D).unsqueeze(-1).div_(weight_D.shape[0])
        x_back_D = (back_D * weight_D).addcmul_(unit_D, along_1, value=-1).mul_(scale_1)
        return x_back_D, product_D.flatten(0, -2).sum(0), None


def write_norms_by_hand(model: nn.Module) -> None:
    """Compute every RMS norm of a model here, until ``leave_norms_to_the_model``.

    Each norm is tried first; one with another form, such as Gemma's w + 1, is left as it is.
    """
    for module in model.modules():
        if "forward" not in vars(module) and _is_the_same(module):
            module.forward = partial(_forward, module)


def leave_norms_to_the_model(model: nn.Module) -> None:
    """Undo ``write_norms_by_hand``: a norm by hand has no forward-mode derivative."""
    for module in model.modules():
        forward = vars(module).get("forward")
        if isinstance(forward, partial) and forward.func is _forward:
            del module.forward  # the class's own comes back


def _forward(
    module: Any,  # noqa: ANN401 - any architecture's norm
    hidden_D: Tensor,
    *more: object,
    **named: object,
) -> Tensor:
    # A gate beside the hidden states makes another norm: Mamba 2's layers have such norms.
    if not more and not named and _is_for_here(hidden_D) and _is_for_here(module.weight):
        return _normed(hidden_D, module)
    return type(module).forward(module, hidden_D, *more, **named)  # type: ignore[no-any-return]


def _normed(x_D: Tensor, module: Any) -> Tensor:  # noqa: ANN401
    return _Normed.apply(x_D, module.weight, module.variance_epsilon)  # type: ignore[no-any-return, no-untyped-call]


def _is_for_here(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32


@torch.no_grad()
def _is_the_same(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    if not isinstance(getattr(module, "variance_epsilon", None), float) or weight is None:
        return False
    if weight.dim() != 1 or not _is_for_here(weight):
        return False
    tried = torch.linspace(-1.0, 2.0, 2 * len(weight)).view(2, -1)
    try:
        own = module(tried)
    except (TypeError, RuntimeError):  # it needs a gate, or hidden states of another shape
        return False
    return torch.allclose(own, _normed(tried, module), rtol=_CLOSE, atol=_CLOSE, equal_nan=True)


ONE_TOKEN = "one_token"
"""Name that selects this attention in a model's config."""
BEYOND = ("softcap", "position_bias", "output_attentions", "s_aux")
"""Options of some architectures that go beyond softmax(q k) v."""


@contextmanager
def one_token_attention(model: PreTrainedModel) -> Iterator[None]:
    """Use this attention for a model within the context, where it is faster."""
    config = model.config.get_text_config(decoder=True)
    before = config._attn_implementation
    if before != "sdpa" or model.device.type != "cpu" or model.dtype != torch.float32:
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
    if query.shape[2] > 1 or any(others.get(name) is not None for name in BEYOND):
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
