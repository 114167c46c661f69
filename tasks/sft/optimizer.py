"""The optimizer of a base made from scratch: Muon for the matrices inside, AdamW for the rest.

Muon (Jordan et al. 2024; at scale: Liu et al., 2502.16982) reached the loss of AdamW in about half
the steps on the demo's base.
"""

from collections.abc import Callable

import torch
from transformers import PreTrainedModel

MUON_TO_ADAMW = 0.5
"""AdamW's learning rate as a share of Muon's (with Muon scaled to AdamW's update size)."""


class MuonWithAdamW(torch.optim.Optimizer):
    """One optimizer over two: schedulers see the parameter groups of both."""

    def __init__(self, model: PreTrainedModel, learning_rate: float, weight_decay: float) -> None:
        """Give hidden matrices to Muon; embeddings, output head and vectors to AdamW."""
        ends = (model.get_input_embeddings(), model.get_output_embeddings())
        outside = {id(p) for end in ends for p in end.parameters()}
        matrices = [p for p in model.parameters() if p.dim() == 2 and id(p) not in outside]
        inside = {id(p) for p in matrices}
        rest = [p for p in model.parameters() if id(p) not in inside]
        self._muon = torch.optim.Muon(
            matrices,
            lr=learning_rate,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = torch.optim.AdamW(
            rest, lr=learning_rate * MUON_TO_ADAMW, betas=(0.9, 0.95), weight_decay=weight_decay
        )
        super().__init__([{"params": matrices}, {"params": rest}], {"lr": learning_rate})
        self.param_groups[1]["lr"] = learning_rate * MUON_TO_ADAMW

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Step both."""
        loss = closure() if closure else None
        inside, rest = self.param_groups
        # Schedulers write to our groups, which accelerate may have replaced by copies.
        self._muon.param_groups[0]["lr"] = inside["lr"]
        self._adamw.param_groups[0]["lr"] = rest["lr"]
        self._muon.step()
        self._adamw.step()
        return loss
