"""The course of a training run in weights: where each ledger segment begins, and who moved it.

Shapes: N response tokens of the behaviours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call, jvp
from transformers import PreTrainedModel

from tasks.ledger.entries import Segment
from tasks.ledger.read import Ledger
from tasks.model.log_probs import TokenBatch, chosen_hidden, head_logits, token_log_probs

Weights = Mapping[str, Tensor]


class _Chosen(torch.nn.Module):
    """A model that gives the log-probabilities [N] of a batch's chosen tokens."""

    def __init__(self, model: PreTrainedModel, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, batch: TokenBatch) -> Tensor:
        logits_NV = head_logits(self.model, chosen_hidden(self.model, batch), self.temperature)
        return token_log_probs(logits_NV, batch.tokens_N)


class Scorer:
    """Log-probabilities of a batch's chosen tokens as a function of the weights."""

    def __init__(self, model: PreTrainedModel, batch: TokenBatch, temperature: float = 1.0) -> None:
        """Score ``batch``; the model gives the architecture, its weights do not matter.

        Attention runs in its plain form: the fused kernels have no forward-mode derivative.
        """
        model.set_attn_implementation("eager")
        self._module = _Chosen(model.eval(), temperature)
        self._batch = batch

    @torch.no_grad()
    def log_probs(self, weights: Weights) -> Tensor:
        """Return log p [N] of the chosen tokens, in nats."""
        return self._call(weights)

    def with_gradient(self, weights: Weights) -> Tensor:
        """Return log p [N] as a function of the weights that autograd can go back through."""
        return self._call(weights)

    @torch.no_grad()
    def derivative(self, weights: Weights, direction: Weights) -> Tensor:
        """Return how fast each token's log p [N] changes where the weights move in a direction."""
        tangent = {name: direction[name] for name in weights}
        change_N: Tensor = jvp(self._call, (dict(weights),), (tangent,))[1]
        return change_N

    def _call(self, weights: Weights) -> Tensor:
        named = {f"model.{name}": tensor for name, tensor in weights.items()}
        log_probs_N: Tensor = functional_call(self._module, named, (self._batch,))
        return log_probs_N


@dataclass(frozen=True)
class Stretch:
    """One segment of the run: the weights that it begins with and each part's displacement."""

    segment: Segment
    start: Weights
    parts: Mapping[str, Weights]

    @property
    def change(self) -> dict[str, Tensor]:
        """All parts together."""
        return {
            name: torch.stack([part[name] for part in self.parts.values()]).sum(0)
            for name in self.start
        }

    def at(self, share: float) -> dict[str, Tensor]:
        """Return the weights so far along the straight line through the segment."""
        change = self.change
        return {name: tensor + share * change[name] for name, tensor in self.start.items()}


def stretches(ledger: Ledger, start: Weights) -> Iterator[Stretch]:
    """Walk a run from its first weights to its last, one segment in memory at a time."""
    now = {name: tensor.detach().float() for name, tensor in start.items()}
    for segment in ledger.manifest.segments:
        parts = {part: ledger.displacement(segment, part) for part in segment.norms}
        stretch = Stretch(segment, now, parts)
        yield stretch
        now = stretch.at(1.0)
