"""Supervised training with TRL's SFTTrainer: text for a base, demonstrations for a chat model.

Episodes are tokenized here (``tasks.model.chat``) and handed to TRL as ids with a mask, so that
training sees the same tokens as sampling does.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import positions_in
from tasks.model.chat import Tokens
from tasks.model.files import Policy
from tasks.sft.settings import LossMean, SftSettings
from tasks.supervised.dropout import residual_dropout
from tasks.supervised.optimizers import optimizers_of
from tasks.supervised.training import Watch, configured, run_trainer

_NOT_LEARNED = -100
_ROW = "row"
"""Column of the data set that says which row it is."""


def supervise(
    policy: Policy,
    rows: Sequence[Tokens],
    settings: SftSettings,
    seed: int,
    scratch: Path,
    watch: Watch,
) -> int:
    """Train the policy in place, in fp32, on tokenized rows; return the number of tokens trained.

    Loss counts where ``is_response`` is set. A run that was killed goes on from its last state, to
    the same bits.

    Raises:
        ValueError: for no rows, or a row longer than the model's positions.
    """
    model = policy.model.float()  # bf16 weights would lose most of a small update
    _check(rows, model)
    with_images = any(row.pixels is not None for row in rows)
    if with_images and settings.loss_mean is not LossMean.TOKENS:
        raise RefusedError(
            "images-not-taken",
            f"demonstrations with images are learned by the mean of {LossMean.TOKENS}, but "
            f"loss_mean is {settings.loss_mean}: leave it out",
        )
    data = Dataset.from_dict(
        {
            "input_ids": [list(row.ids) for row in rows],
            "labels": [
                [token if written else _NOT_LEARNED for token, written in zip(*row, strict=True)]
                for row in ((row.ids, row.is_response) for row in rows)
            ],
            **({_ROW: list(range(len(rows)))} if with_images else {}),
        }
    )
    optimizers = optimizers_of(model, settings)
    make = SFTTrainer if settings.loss_mean is LossMean.TOKENS else RowMeanTrainer
    trainer = make(
        model=model,
        args=configured(SFTConfig, settings, seed, scratch)(
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=not with_images,
        ),
        train_dataset=data,
        processing_class=policy.tokenizer,
        optimizers=optimizers,
    )
    if with_images:
        trainer.data_collator = _WithPixels(trainer.data_collator, rows)
    with residual_dropout(model, settings.dropout):
        return run_trainer(trainer, optimizers, watch)


class _WithPixels:
    """Collates rows as the trainer does, with the pixels of their images in the order of rows."""

    def __init__(
        self,
        collate: Callable[[list[dict[str, object]]], dict[str, Tensor]],
        rows: Sequence[Tokens],
    ) -> None:
        self._collate, self._rows = collate, rows

    def __call__(self, examples: list[dict[str, object]]) -> dict[str, Tensor]:
        rows = [self._rows[int(str(example[_ROW]))] for example in examples]
        plain = [{n: v for n, v in example.items() if n != _ROW} for example in examples]
        given = [row.pixels for row in rows if row.pixels is not None]
        pixels = {"pixel_values": torch.cat(given)} if given else {}
        return {**self._collate(plain), **pixels}


class RowMeanTrainer(SFTTrainer):
    """TRL's trainer with the mean over the rows of each row's mean over its tokens."""

    def compute_loss(  # type: ignore[override]
        self,
        model: PreTrainedModel,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - as transformers calls it
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch."""
        assert not return_outputs, "only an evaluation of the trainer's own would need them"
        ids_BS, mask_BS = inputs["input_ids"], inputs["attention_mask"]
        logits_BSV = model(input_ids=ids_BS, attention_mask=mask_BS, use_cache=False).logits
        self._total_train_tokens += int(mask_BS.sum())
        return mean_of_rows(logits_BSV, inputs["labels"])


def mean_of_rows(logits_BSV: Tensor, labels_BS: Tensor) -> Tensor:
    """Return the mean over rows of the mean cross-entropy [nats] of their learned tokens.

    A row without a learned token does not count.
    """
    labels_BS = labels_BS[:, 1:]
    losses_BS = cross_entropy(
        logits_BSV[:, :-1].float().transpose(1, 2),
        labels_BS,
        ignore_index=_NOT_LEARNED,
        reduction="none",
    )
    counts_B = (labels_BS != _NOT_LEARNED).sum(1)
    return (losses_BS.sum(1) / counts_B.clamp(min=1)).sum() / (counts_B > 0).sum().clamp(min=1)


def _check(rows: Sequence[Tokens], model: PreTrainedModel) -> None:
    if not rows:
        raise RefusedError(
            "no-demonstration", "the data set of demonstrations is empty: give one with rows"
        )
    if not any(any(row.is_response) for row in rows):
        raise RefusedError(
            "no-response-token",
            "no row has a response token to learn from: demonstrations need assistant turns",
        )
    limit = positions_in(model.config)
    longest = max(len(row.ids) for row in rows)
    if limit is not None and longest > limit:
        raise RefusedError(
            "demonstration-too-long",
            f"a demonstration has {longest} tokens but the model takes {limit}: shorten or leave "
            "out the longest demonstrations",
        )
