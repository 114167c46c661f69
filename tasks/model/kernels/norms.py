"""RMS norms in one piece: with a hand-written derivative on a CPU, as one kernel on a GPU.

To autograd, a model's own norm is five operations. Each has its own pass over the hidden states,
forward and backward, and its own saved tensors. Written by hand, it keeps one tensor and makes half
as many passes. On a GPU torch has a kernel for it; a model's own is seven launches, and more
backward. That kernel rounds once, where a model in bf16 rounds in between.

Shapes: ``...`` any, D hidden size or head size.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import rms_norm

from tasks.model.kernels.switch import kernels_are_on

_CLOSE, _CLOSE_IN_BF16 = 1e-5, 0.02


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
    if not kernels_are_on():
        return
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
    if not more and not named and _can(hidden_D, module.weight):
        return _normed(hidden_D, module)
    return type(module).forward(module, hidden_D, *more, **named)  # type: ignore[no-any-return]


def _normed(x_D: Tensor, module: Any) -> Tensor:  # noqa: ANN401
    if x_D.device.type == "cpu":
        return _Normed.apply(x_D, module.weight, module.variance_epsilon)  # type: ignore[no-any-return, no-untyped-call]
    return rms_norm(x_D, module.weight.shape, module.weight, module.variance_epsilon)


def _can(hidden_D: Tensor, weight_D: Tensor) -> bool:
    """Say whether a norm is computed here: in fp32 on a CPU, in one precision on a GPU."""
    if hidden_D.device != weight_D.device or hidden_D.dtype != weight_D.dtype:
        return False
    return weight_D.device.type == "cuda" or (
        weight_D.device.type == "cpu" and weight_D.dtype == torch.float32
    )


@torch.no_grad()
def _is_the_same(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    if not isinstance(getattr(module, "variance_epsilon", None), float) or weight is None:
        return False
    if weight.dim() != 1 or weight.is_meta or not weight.is_floating_point():
        return False
    tried = torch.linspace(-1.0, 2.0, 2 * len(weight), dtype=weight.dtype, device=weight.device)
    tried = tried.view(2, -1)
    try:
        own = module(tried)
    except (TypeError, RuntimeError):  # it needs a gate, or hidden states of another shape
        return False
    close = _CLOSE if weight.dtype == torch.float32 else _CLOSE_IN_BF16
    return torch.allclose(own, _normed(tried, module), rtol=close, atol=close, equal_nan=True)
