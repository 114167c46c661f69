"""Would compensated masters lose less? AdamW on a model's own weights, with and without.

Kahan's summation keeps what an update lost and adds it to the next one. Gradients are random: what
is measured is the arithmetic of the update.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

RATES = (1e-6, 1e-5, 1e-4)
STEPS = (10, 100)
_TENSORS = 12
"""Number of weight matrices, every so many of the model's."""
_NUMBERS = 1 << 17
"""Number of weights of each."""


def compensated(model: Path) -> list[dict[str, Any]]:
    """Return the share of the change that is lost, by learning rate and number of updates."""
    weights = load_file(model / "model.safetensors")
    matrices = [name for name, tensor in sorted(weights.items()) if tensor.dim() == 2]
    spread = matrices[:: max(1, len(matrices) // _TENSORS)]
    chosen = [weights[name].float().flatten()[:_NUMBERS] for name in spread]
    return [_lost(chosen, rate, steps) for rate in RATES for steps in STEPS]


def _lost(weights: list[Tensor], rate: float, steps: int) -> dict[str, Any]:
    noise = torch.Generator().manual_seed(0)
    squares = torch.zeros(4, dtype=torch.float64)
    for start in weights:
        plain, kahan = start.clone(), start.clone()
        carried = torch.zeros_like(start)
        exact = start.double()
        first, second = torch.zeros_like(start), torch.zeros_like(start)
        trend = 0.3 * torch.randn(start.shape, generator=noise)
        for step in range(1, steps + 1):
            gradient = trend + torch.randn(start.shape, generator=noise)
            first.mul_(0.9).add_(gradient, alpha=0.1)
            second.mul_(0.95).addcmul_(gradient, gradient, value=0.05)
            root = (second / (1 - 0.95**step)).sqrt_().add_(1e-8)
            update = (first / root).mul_(-rate / (1 - 0.9**step))
            exact += update.double()
            plain += update
            owed = update + carried
            moved = kahan + owed
            carried = owed - (moved - kahan)
            kahan = moved
        change = exact - start.double()
        squares += torch.stack(
            [
                change.square().sum(),
                (plain.double() - exact).square().sum(),
                (kahan.double() + carried.double() - exact).square().sum(),
                (kahan.double() - exact).square().sum(),
            ]
        )
    change_norm, *lost = squares.sqrt().tolist()
    plain_lost, with_carried, as_saved = (norm / change_norm for norm in lost)
    return {
        "learning_rate": rate,
        "updates": steps,
        "plain": plain_lost,
        "compensated_with_what_is_carried": with_carried,
        "compensated_as_saved_in_fp32": as_saved,
    }
