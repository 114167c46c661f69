"""The trajectory of a run's weights: the start of each ledger segment, and each source's part.

Shapes: N response tokens of the behaviors, P directions in which the weights move.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor
from torch.func import functional_call, jvp, vmap
from transformers import PreTrainedModel

from tasks.ledger.estimate import free_memory
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import SavedWeights, Segment
from tasks.ledger.segment_file import DTYPES
from tasks.ledger.split_adamw import SAVING
from tasks.model.kernels.norms import leave_norms_to_the_model
from tasks.model.log_probs import TokenBatch, chosen_hidden, head_logits, token_log_probs
from tasks.model.lora import in_place_of_base

Weights = Mapping[str, Tensor]

_ROWS = 32
"""Sequences per batch; with P directions, a pass holds P + 1 times their logits."""
_ALL = 1 << 30
_SHARE_FOR_DIRECTIONS = 0.6
"""Share of a GPU's free memory that a point's weights and its directions may take; the rest is for
the hidden states, which every direction has of its own."""
_MOST_HELD = 1 << 30
"""Maximum bytes of displacements in memory; a larger ledger is read by segment at each walk."""


class _Chosen(torch.nn.Module):
    """A model that returns the log-probabilities [N] of a batch's chosen tokens."""

    def __init__(self, model: PreTrainedModel, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, batch: TokenBatch) -> Tensor:
        logits_NV = head_logits(self.model, chosen_hidden(self.model, batch), self.temperature)
        return token_log_probs(logits_NV, batch.tokens_N)


class Scorer:
    """Log-probabilities of a batch's chosen tokens as a function of the weights.

    It computes on the model's device. Weights and directions come from any device and results go to
    host memory, because a run with its displacements may be larger than an accelerator.
    """

    def __init__(self, model: PreTrainedModel, batch: TokenBatch, temperature: float = 1.0) -> None:
        """Score ``batch`` with the model's architecture; its weights are not used.

        Attention, norms and experts run in their plain form, because neither fused and grouped
        kernels nor our own norms have a forward-mode derivative.
        """
        model.set_attn_implementation("eager")
        model.set_experts_implementation("eager")  # a dense model has none, and stays as it is
        leave_norms_to_the_model(model)
        self._module = _Chosen(model.eval(), temperature)
        self._device = model.device
        self._pieces = self._placed(batch)

    def on(self, batch: TokenBatch) -> "Scorer":
        """Return the scorer of another batch with the same model."""
        other = copy(self)
        other._pieces = self._placed(batch)
        return other

    def _placed(self, batch: TokenBatch) -> list[TokenBatch]:
        return [piece.to(self._device) for piece in _pieces(batch)]

    @torch.no_grad()
    def log_probs(self, weights: Weights) -> Tensor:
        """Return log p [N] of the chosen tokens, in nats."""
        here = self._here(weights)
        return torch.cat([self._call(here, piece) for piece in self._pieces]).cpu()

    def log_probs_of(self, whole: Weights) -> Tensor:
        """Return log p [N] under all weights of a model without adapters, such as a teacher."""
        return self.log_probs(in_place_of_base(self._module.model, whole))

    def with_gradient(self, weights: Weights) -> Tensor:
        """Return log p [N] as a function of weights on the device, for autograd."""
        return torch.cat([self._call(weights, piece) for piece in self._pieces])

    def gradient(self, weights: Weights, factors_N: Tensor) -> dict[str, Tensor]:
        """Return the gradient of the sum of factor x log p over the tokens, on the device.

        It is 0 for weights that no token comes by, such as those of an expert that was not chosen.
        """
        leaves = {n: t.detach().clone().requires_grad_() for n, t in self._here(weights).items()}
        total = (self.with_gradient(leaves) * factors_N.to(self._device)).sum()
        found = torch.autograd.grad(total, list(leaves.values()), materialize_grads=True)
        return dict(zip(leaves, found, strict=True))

    @torch.no_grad()
    def derivatives(self, weights: Weights, directions: Sequence[Weights]) -> Tensor:
        """Return the derivative of each token's log p along each direction of the weights.

        Returns:
            [P, N] for P directions. Those that fit on the device share a pass: forward-mode
            derivatives (``torch.func.jvp``) are cheap compared with the calls of a small model.
        """
        here, most = self._here(weights), self._directions_at_once(weights)
        groups = [directions[at : at + most] for at in range(0, len(directions), most)]
        return torch.cat([self._along(here, group) for group in groups]).cpu()

    def _along(self, weights: dict[str, Tensor], directions: Sequence[Weights]) -> Tensor:
        stacked = {
            name: torch.stack([way[name].to(self._device) for way in directions])
            for name in weights
        }

        def change(piece: TokenBatch) -> Callable[[dict[str, Tensor]], Tensor]:
            def along(tangent: dict[str, Tensor]) -> Tensor:
                moved = jvp(lambda w: self._call(w, piece), (weights,), (tangent,))
                return cast("Tensor", moved[1])

            return along

        return torch.cat([vmap(change(piece))(stacked) for piece in self._pieces], dim=1)

    def _here(self, weights: Weights) -> dict[str, Tensor]:
        return {name: tensor.to(self._device) for name, tensor in weights.items()}

    def _directions_at_once(self, weights: Weights) -> int:
        """Return how many directions share a pass: all on a CPU, on a GPU what fits."""
        if self._device.type != "cuda":
            return _ALL
        room = free_memory(self._device) * _SHARE_FOR_DIRECTIONS - size_of(weights)
        return max(1, int(room / size_of(weights)))

    def _call(self, weights: Weights, piece: TokenBatch) -> Tensor:
        named = {f"model.{name}": tensor for name, tensor in weights.items()}
        log_probs_N: Tensor = functional_call(self._module, named, (piece,))
        return log_probs_N


def size_of(weights: Weights) -> int:
    """Return the bytes of weights."""
    return sum(tensor.numel() * tensor.element_size() for tensor in weights.values())


def _pieces(batch: TokenBatch) -> Iterator[TokenBatch]:
    """Split a batch into groups of rows that share a pass, without needless padding."""
    for first in range(0, len(batch.ids_BS), _ROWS):
        own_N = (batch.rows_N >= first) & (batch.rows_N < first + _ROWS)
        rows_N, columns_N = batch.rows_N[own_N] - first, batch.columns_N[own_N]
        width = int(columns_N.max()) + 1
        yield TokenBatch(batch.ids_BS[first : first + _ROWS, :width], rows_N, columns_N)


@dataclass(frozen=True)
class Stretch:
    """One segment of the run: its initial weights and each part's displacement."""

    segment: Segment
    start: Weights
    parts: Mapping[str, Weights]

    @cached_property
    def change(self) -> dict[str, Tensor]:
        """All parts together."""
        return {
            name: torch.stack([part[name] for part in self.parts.values()]).sum(0)
            for name in self.start
        }

    def at(self, share: float) -> dict[str, Tensor]:
        """Return the weights at a fraction of the straight line through the segment."""
        return {name: tensor + share * self.change[name] for name, tensor in self.start.items()}


def stretches(ledger: Ledger, start: Weights) -> Iterator[Stretch]:
    """Walk a run from its first weights to its last, one segment in memory at a time.

    A loop over it holds two, unless its body ends with ``del stretch``.
    """
    saved, end = ledger.manifest.saved, start
    for walked in ledger.walk(start):
        parts, norms, end = dict(walked.parts), dict(walked.segment.norms), walked.end
        if saved:
            parts[SAVING], norms[SAVING] = _zeros(end), 0.0
        segment = walked.segment.model_copy(update={"norms": norms})
        stretch = Stretch(segment, walked.start, parts)
        del walked, parts
        yield stretch
        del stretch  # before the next is read: who walks should let go of it too
    if saved:
        yield _saving(segment, end, saved)


def _saving(last: Segment, trained: Weights, saved: SavedWeights) -> Stretch:
    """Return the step from the weights as they were trained to the weights as they were saved."""
    kept = DTYPES[saved.precision]
    rounded = {name: tensor.to(kept).float() - tensor for name, tensor in trained.items()}
    still = _zeros(trained)
    segment = last.model_copy(
        update={
            "first_step": last.last_step + 1,  # no step of training: the stretch is empty
            "norms": {**dict.fromkeys(last.norms, 0.0), SAVING: saved.lost},
            "change": saved.lost,
        }
    )
    return Stretch(segment, trained, {**dict.fromkeys(last.norms, still), SAVING: rounded})


def _zeros(like: Weights) -> dict[str, Tensor]:
    """Return zeros that take no memory."""
    return {name: torch.zeros(()).expand(tensor.shape) for name, tensor in like.items()}


def walker(ledger: Ledger, start: Weights) -> Callable[[], Iterable[Stretch]]:
    """Return a function that walks a run at each call; a ledger that fits is read once."""
    numbers = sum(tensor.numel() for tensor in start.values())
    arrays = sum(len(segment.norms) + 1 for segment in ledger.manifest.segments)
    if 4 * numbers * arrays > _MOST_HELD:
        return lambda: stretches(ledger, start)
    held = list(stretches(ledger, start))
    return lambda: held
