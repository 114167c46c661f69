"""The loss of learned tokens, computed without padding and without the logits of other tokens.

TRL's own reads all rows at the width of the longest and, without a GPU, scores every token of a
batch. Where prompts are long or a vocabulary is large, most of a step goes into what teaches
nothing (docs/results/performance.md).

Shapes: B rows, S tokens of the padded row, N learned tokens of the batch, C of a chunk of it, D
hidden size.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from trl.trainer.sft_trainer import SFTTrainer

from tasks.model.architecture import vocabulary_size
from tasks.model.log_probs import TokenBatch, chosen_hidden, chunk_tokens, head_logits, pad_right
from tasks.sft.settings import LossMean

NOT_LEARNED = -100
"""Label of a token that teaches nothing."""


class ResponseTrainer(SFTTrainer):
    """TRL's trainer, with a model that reads no padding and scores learned tokens alone."""

    def __init__(
        self,
        *,
        mean: LossMean,
        shares_prefixes: bool,
        **arguments: Any,  # noqa: ANN401 - TRL's own
    ) -> None:
        """Train by this mean, with TRL's arguments; what rows begin with may be read once."""
        super().__init__(**arguments)
        self._mean, self._shares_prefixes = mean, shares_prefixes

    def compute_loss(  # type: ignore[override]
        self,
        model: PreTrainedModel,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - as transformers calls it
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch."""
        assert not return_outputs, "only an evaluation of the trainer's own would need them"
        batch = learned(inputs, shares_prefixes=self._shares_prefixes)
        self._total_train_tokens += sum(batch.lengths)
        with self.accelerator.autocast():
            hidden_ND = chosen_hidden(model, batch)
            return weighted_loss(model, hidden_ND, batch.tokens_N, weights_of(batch, self._mean))


def learned(inputs: Mapping[str, Tensor], *, shares_prefixes: bool) -> TokenBatch:
    """Return the rows of a trainer's batch, those that begin alike side by side."""
    sizes = inputs["attention_mask"].sum(1).tolist()
    padded = (inputs["input_ids"].tolist(), inputs["labels"].tolist())
    rows = sorted(
        # Nothing predicts the first token.
        (ids[:size], [False, *(label != NOT_LEARNED for label in labels[1:size])])
        for ids, labels, size in zip(*padded, sizes, strict=True)
    )
    batch = pad_right([ids for ids, _ in rows], [chosen for _, chosen in rows], pad_id=0)
    batch = batch if shares_prefixes else replace(batch, runs=())
    return batch.to(inputs["input_ids"].device)


def weights_of(batch: TokenBatch, mean: LossMean) -> Tensor:
    """Return each learned token's share of the loss [N]; a row without any has none."""
    if mean is LossMean.TOKENS:
        return torch.ones_like(batch.rows_N) / max(1, len(batch.rows_N))
    counts_B = torch.bincount(batch.rows_N)
    return 1 / (counts_B[batch.rows_N] * (counts_B > 0).sum())


def weighted_loss(
    model: PreTrainedModel, hidden_ND: Tensor, tokens_N: Tensor, weights_N: Tensor
) -> Tensor:
    """Return the sum of weight x cross-entropy [nats] over tokens, chunk by chunk.

    Where there are several chunks, backward computes their logits again, so that those of one exist
    at a time.
    """

    def part(hidden_CD: Tensor, tokens_C: Tensor, weights_C: Tensor) -> Tensor:
        losses_C = cross_entropy(head_logits(model, hidden_CD), tokens_C, reduction="none")
        return (losses_C * weights_C).sum()

    width = chunk_tokens(vocabulary_size(model), on_gpu=hidden_ND.device.type != "cpu")
    if len(hidden_ND) <= width:
        return part(hidden_ND, tokens_N, weights_N)
    chunks = zip(*(each.split(width) for each in (hidden_ND, tokens_N, weights_N)), strict=True)
    sums = [checkpoint(part, *chunk, use_reentrant=False) for chunk in chunks]
    return torch.stack(sums).sum()
