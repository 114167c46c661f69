"""The value network of PPO: what it starts from, its values, and its own optimizer.

It is a model of its own, on every rank whole: all ranks compute the same updates of it.

Shapes: N response tokens of a batch.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from tasks.model.kernels.norms import write_norms_by_hand
from tasks.model.log_probs import TokenBatch, chosen_hidden, pad_right
from tasks.platform.ranks import rank
from tasks.rl.actor_critic import ValueSettings
from tasks.rl.gae import value_loss
from tasks.rl.token_numbers import Numbers
from tasks.rollout.collect import Rollout

_STATE = "critic.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
_BATCH_TOKENS = 2048


@dataclass(frozen=True)
class Valued:
    """A rollout with what its values are learned from."""

    rollout: Rollout
    values: Numbers
    """Values before the step."""
    returns: Numbers
    """Targets: advantage plus value."""


class Critic:
    """A value network that learns."""

    def __init__(
        self, model: PreTrainedModel, settings: ValueSettings, bias: float, pad_id: int
    ) -> None:
        """Take a model with a scalar head named ``score``; ``bias`` is added to every value."""
        self._model, self._settings = model.eval(), settings
        self._bias, self._pad_id = bias, pad_id
        write_norms_by_hand(model)
        head = model.get_submodule("score")
        assert isinstance(head, nn.Linear)
        self._head = head
        self._named = dict(model.named_parameters())
        self._optimizer = torch.optim.AdamW(
            self._named.values(), lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0
        )

    @torch.no_grad()
    def values(self, tokens: TokenBatch) -> Tensor:
        """Return the value [N] of what precedes each chosen token."""
        return self._values(tokens.to(self._model.device))

    def learn(self, parts: Sequence[Sequence[Valued]], step: int) -> dict[str, float]:
        """Update the network once for each part; return metrics of the losses."""
        rate = self._settings.learning_rate * min(1.0, step / (self._settings.warmup_steps + 1))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        losses, norms = [], []
        for part in parts:
            self._optimizer.zero_grad(set_to_none=True)
            tokens = sum(len(valued.values) for valued in part)
            losses.append(sum(self._backward(batch, tokens) for batch in _batches(part)))
            norm = nn.utils.clip_grad_norm_(self._named.values(), self._settings.gradient_clip)
            if not bool(torch.isfinite(norm)):
                raise FloatingPointError(
                    f"step {step}: the value network's gradient is {float(norm)}: lower "
                    "value.learning_rate, or check the rewards"
                )
            norms.append(float(norm))
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return {
            "value_loss": sum(losses) / len(losses),
            "value_gradient_norm": sum(norms) / len(norms),
        }

    def save(self, folder: Path) -> None:
        """Write weights and moments."""
        if rank() != 0:
            return
        state = {f"weight/{name}": p.detach().contiguous() for name, p in self._named.items()}
        for name, parameter in self._named.items():
            for moment in _MOMENTS:
                if moment in self._optimizer.state[parameter]:
                    state[f"{moment}/{name}"] = self._optimizer.state[parameter][moment]
        save_file(state, folder / _STATE)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote, bit for bit."""
        state = load_file(folder / _STATE)
        for name, parameter in self._named.items():
            parameter.copy_(state[f"weight/{name}"])
            moments = {m: state[f"{m}/{name}"] for m in _MOMENTS if f"{m}/{name}" in state}
            for moment in _MOMENTS[:2]:
                if moment in moments:
                    moments[moment] = moments[moment].to(parameter.device)
            if moments:
                self._optimizer.state[parameter] = moments

    def _values(self, tokens: TokenBatch) -> Tensor:
        hidden_ND = chosen_hidden(self._model, tokens)
        values_N: Tensor = self._head(hidden_ND).squeeze(-1).float() + self._bias
        return values_N

    def _backward(self, batch: Sequence[Valued], num_tokens: int) -> float:
        """Add the gradient of some rollouts' part of the loss; return that part."""
        rollouts = [valued.rollout for valued in batch]
        tokens = pad_right(
            [r.ids for r in rollouts], [r.is_response for r in rollouts], self._pad_id
        ).to(self._model.device)
        old_N = torch.tensor([number for valued in batch for number in valued.values])
        returns_N = torch.tensor([number for valued in batch for number in valued.returns])
        device = self._model.device
        losses_N = value_loss(
            self._values(tokens), old_N.to(device), returns_N.to(device), self._settings.clip
        )
        loss = losses_N.sum() / num_tokens
        (self._settings.coefficient * loss).backward()
        return float(loss.detach())


def dealt(valued: Sequence[Valued], num_parts: int, epochs: int, step: int) -> list[list[Valued]]:
    """Deal a step's rollouts to the updates of its epochs, each in a seeded order."""
    parts: list[list[Valued]] = []
    for epoch in range(epochs):
        order = list(valued)
        random.Random(f"{step} value {epoch}").shuffle(order)
        count = min(num_parts, len(order))
        parts += [order[first::count] for first in range(count)]
    return parts


def _batches(part: Sequence[Valued]) -> Iterator[list[Valued]]:
    """Yield rollouts of similar length that fit into a batch."""
    batch: list[Valued] = []
    for valued in sorted(part, key=lambda valued: len(valued.rollout.ids)):
        if batch and (len(batch) + 1) * len(valued.rollout.ids) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(valued)
    if batch:
        yield batch
