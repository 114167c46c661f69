"""The learner: a step's rollouts become updates of the policy, each split by source.

Shapes: N response tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from tasks.ledger.split_adamw import AdamWConstants, SplitAdamW
from tasks.model.log_probs import chosen_hidden, chosen_logits, head_logits, pad_right
from tasks.onpolicy.books import Books
from tasks.onpolicy.microbatch import (
    Microbatch,
    Scored,
    padding,
    plan_step,
    split_for_updates,
)
from tasks.onpolicy.objective import ChunkLoss, Objective, TokenLoss
from tasks.onpolicy.settings import LoopSettings
from tasks.rollout.collect import Rollout

_STATE = "optimizer.safetensors"
_LOGIT_BYTES = 128 << 20
"""The fp32 logits [C, V] of one chunk; the largest block that exists of them."""


class Learner:
    """A policy and its optimizer."""

    def __init__(
        self,
        model: PreTrainedModel,
        settings: LoopSettings,
        temperature: float,
        pad_id: int,
        sources: Sequence[str],
        *,
        record: bool = False,
    ) -> None:
        """Make the optimizer over the model's parameters.

        Args:
            model: The policy; it is changed in place.
            settings: How long and how fast to learn.
            temperature: Of sampling; log-probabilities are taken under it.
            pad_id: What sequences are padded with.
            sources: Everything that may ask for a change, from the objective.
            record: Whether each source's part of the updates is summed for a ledger.
        """
        self.model, self.settings = model, settings
        self._temperature, self._pad_id = temperature, pad_id
        self.optimizer = SplitAdamW(
            {name: p for name, p in model.named_parameters() if p.requires_grad},
            sources,
            AdamWConstants(
                weight_decay=settings.weight_decay, gradient_clip=settings.gradient_clip
            ),
            record=record,
        )

    def update(
        self,
        objective: Objective,
        rollouts: Sequence[Rollout],
        step: int,
        books: Books | None = None,
    ) -> dict[str, float]:
        """Do a step's inner updates on its rollouts and return their metrics.

        ``books`` hear of every chunk and update, for a ledger.
        """
        settings = self.settings
        scored = objective.score(rollouts)
        updates = [
            plan_step(part, settings.normalisation, settings.microbatch_tokens, self._pad_id)
            for part in split_for_updates(scored, settings.inner_updates, step)
        ]
        learning_rate = settings.learning_rate * min(1.0, step / (settings.warmup_steps + 1))
        objective.begin_step(updates)
        if books is not None:
            books.begin(step, scored)
        report = _Report()
        for microbatches in updates:
            report.add("padding", padding(microbatches), 1)
            for microbatch in microbatches:
                self._backward(objective, microbatch.to(self.model.device), report, books)
            try:
                done = self.optimizer.step(learning_rate)
            except FloatingPointError as error:
                raise FloatingPointError(f"step {step}: {error}") from error
            report.add("gradient_norm", done.gradient_norm, 1)
            report.add("clip_factor", done.clip_factor, 1)
            for name, part in done.sources.items():
                report.add(f"gradient_norm/{name}", part.norm, 1)
                report.add(f"gradient_cosine/{name}", part.cosine, 1)
            if books is not None:
                books.updated(done)
        if books is not None:
            books.end(self.logits)
        return report.means()

    @torch.no_grad()
    def logits(self, item: Scored) -> Tensor:
        """Return the policy's logits [response tokens, V] of a rollout, as it is now."""
        rollout = item.rollout
        tokens = pad_right([rollout.ids], [rollout.is_response], self._pad_id)
        return chosen_logits(self.model, tokens.to(self.model.device), self._temperature)

    def save(self, folder: Path) -> None:
        """Write all that the next update depends on."""
        state = {name: tensor.contiguous() for name, tensor in self.optimizer.state().items()}
        save_file(state, folder / _STATE)

    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote: bit by bit what would have come next."""
        self.optimizer.load_state(load_file(folder / _STATE))

    def _backward(
        self, objective: Objective, batch: Microbatch, report: "_Report", books: Books | None
    ) -> None:
        """Run the body once; then the head and the losses chunk by chunk; then back through all.

        The gradient of the hidden states is gathered over chunks, so the logits of a microbatch
        never exist in full, forward or backward, and the body is walked back once a source.
        """
        hidden_ND = chosen_hidden(self.model, batch.tokens)
        losses = objective.prepare(batch)
        back_ND: dict[str, Tensor] = {}
        for chunk in _chunks(len(hidden_ND), self.model.config.vocab_size):
            loss, back_CD = self._backward_head(hidden_ND[chunk], batch, losses, chunk, books)
            for source, gradient_CD in back_CD.items():
                if source not in back_ND:
                    back_ND[source] = torch.zeros_like(hidden_ND)
                back_ND[source][chunk] = gradient_CD
            report.add_chunk(loss, batch, chunk)
        for place, (source, gradient_ND) in enumerate(back_ND.items(), start=1):
            with self.optimizer.gathering(source):
                hidden_ND.backward(gradient_ND, retain_graph=place < len(back_ND))

    def _backward_head(
        self,
        hidden_CD: Tensor,
        batch: Microbatch,
        losses: ChunkLoss,
        chunk: slice,
        books: Books | None,
    ) -> tuple[TokenLoss, dict[str, Tensor]]:
        """Return the chunk's losses, and by source their gradient at the hidden states."""
        leaf_CD = hidden_CD.detach().requires_grad_()
        student_CV = head_logits(self.model, leaf_CD, self._temperature)
        loss = losses(student_CV, chunk)
        if books is not None:
            books.saw(batch, chunk, student_CV, loss)
        back_CD: dict[str, Tensor] = {}
        for place, (source, loss_C) in enumerate(loss.by_source.items(), start=1):
            with self.optimizer.gathering(source):
                (batch.weights_N[chunk] * loss_C).sum().backward(
                    retain_graph=place < len(loss.by_source)
                )
            if leaf_CD.grad is None:
                raise RuntimeError(f"the loss of {source!r} does not depend on the student")
            back_CD[source], leaf_CD.grad = leaf_CD.grad, None
        return loss, back_CD


def _chunks(num_tokens: int, vocabulary_size: int) -> Iterator[slice]:
    width = max(1, _LOGIT_BYTES // (4 * vocabulary_size))
    for first in range(0, num_tokens, width):
        yield slice(first, min(first + width, num_tokens))


class _Report:
    """Sums of numbers over tokens or updates, by name."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, float] = defaultdict(float)

    def add(self, name: str, total: float, count: float) -> None:
        self._sums[name] += total
        self._counts[name] += count

    def add_chunk(self, loss: TokenLoss, batch: Microbatch, chunk: slice) -> None:
        weights_C = batch.weights_N[chunk]
        for source, loss_C in loss.by_source.items():
            self._sums[f"loss/{source}"] += float((weights_C * loss_C.detach()).sum())
        for name, values_C in loss.report.items():
            key = f"{name}/{batch.teacher}" if batch.teacher else name
            self.add(key, float(values_C.sum()), len(values_C))

    def means(self) -> dict[str, float]:
        updates = self._counts["gradient_norm"]
        # A loss is a sum over microbatches already weighted, all else a mean over its count.
        means = {
            name: total / self._counts.get(name, updates) for name, total in self._sums.items()
        }
        losses = [value for name, value in means.items() if name.startswith("loss/")]
        return {"loss": sum(losses), **means}
