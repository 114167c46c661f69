"""AdamW, or Muon with AdamW, and the schedule of the learning rate.

transformers saves the state of an optimizer as a pickle and knows nothing of one that holds two
others; here the moments are tensors by name.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    PreTrainedModel,
    get_constant_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from tasks.supervised.settings import Schedule, TrainingSettings

MUON_TO_ADAMW = 0.5
"""AdamW's learning rate as a share of Muon's (with Muon scaled to AdamW's update size)."""


class MuonWithAdamW(torch.optim.Optimizer):
    """One optimizer over two: schedulers see the parameter groups of both."""

    def __init__(self, model: PreTrainedModel, learning_rate: float, weight_decay: float) -> None:
        """Give hidden matrices to Muon; embeddings, output head and vectors to AdamW."""
        ends = (model.get_input_embeddings(), model.get_output_embeddings(), _score_of(model))
        outside = {id(p) for end in ends if end is not None for p in end.parameters()}
        matrices = [p for p in model.parameters() if p.dim() == 2 and id(p) not in outside]
        inside = {id(p) for p in matrices}
        others = [p for p in model.parameters() if id(p) not in inside]
        self._muon = torch.optim.Muon(
            matrices,
            lr=learning_rate,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = torch.optim.AdamW(
            others, lr=learning_rate * MUON_TO_ADAMW, betas=(0.9, 0.95), weight_decay=weight_decay
        )
        super().__init__([{"params": matrices}, {"params": others}], {"lr": learning_rate})
        self.param_groups[1]["lr"] = learning_rate * MUON_TO_ADAMW

    @property
    def inner(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """The two optimizers, which hold the moments."""
        return self._muon, self._adamw

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Step both."""
        loss = closure() if closure else None
        inside, others = self.param_groups
        # Schedulers write to our groups, which accelerate may have replaced by copies.
        self._muon.param_groups[0]["lr"] = inside["lr"]
        self._adamw.param_groups[0]["lr"] = others["lr"]
        self._muon.step()
        self._adamw.step()
        return loss


class Optimizers(NamedTuple):
    """An optimizer and the schedule of its learning rates."""

    optimizer: torch.optim.Optimizer
    schedule: LambdaLR


def optimizers_of(model: PreTrainedModel, settings: TrainingSettings) -> Optimizers:
    """Return AdamW, or Muon with AdamW, and the schedule of their learning rates."""
    optimizer: torch.optim.Optimizer
    if settings.muon:
        optimizer = MuonWithAdamW(model, settings.learning_rate, settings.weight_decay)
    else:
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=settings.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=settings.weight_decay,
        )
    return Optimizers(optimizer, _schedule_of(optimizer, settings))


def _schedule_of(optimizer: torch.optim.Optimizer, settings: TrainingSettings) -> LambdaLR:
    warmup, steps = settings.warmup_steps, settings.num_steps
    schedule: LambdaLR
    if settings.schedule is Schedule.CONSTANT:
        schedule = get_constant_schedule_with_warmup(optimizer, warmup)
    elif settings.schedule is Schedule.COSINE:
        schedule = get_cosine_with_min_lr_schedule_with_warmup(
            optimizer, warmup, steps, min_lr_rate=settings.final_share
        )
    else:
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)
    return schedule


def _score_of(model: PreTrainedModel) -> torch.nn.Module | None:
    """Return the head of a reward model, which has no output embeddings."""
    return getattr(model, "score", None)


def moments_of(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the moments and step counts of an optimizer, by its place, parameter and name."""
    return {
        f"{place}.{parameter}.{name}": value
        for place, inner in enumerate(_inner(optimizer))
        for parameter, values in inner.state_dict()["state"].items()
        for name, value in values.items()
    }


def load_moments(optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    """Go on from what ``moments_of`` returned."""
    for place, inner in enumerate(_inner(optimizer)):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in moments.items():
            of, parameter, name = key.split(".")
            if int(of) == place:
                state.setdefault(int(parameter), {})[name] = value
        inner.load_state_dict(inner.state_dict() | {"state": state})


def _inner(optimizer: torch.optim.Optimizer) -> tuple[torch.optim.Optimizer, ...]:
    return optimizer.inner if isinstance(optimizer, MuonWithAdamW) else (optimizer,)
