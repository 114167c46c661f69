"""Supervised training with TRL's SFTTrainer: text for a base, demonstrations for a chat model.

Episodes are tokenized here (``tasks.model.chat``) and handed to TRL as ids with a mask, so that
training sees the same tokens as sampling does.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import positions_in
from tasks.model.chat import Tokens
from tasks.model.files import Policy
from tasks.model.kernels.unread_tokens import reads_prefixes_once
from tasks.sft.response_loss import NOT_LEARNED, ResponseTrainer
from tasks.sft.settings import LossMean, SftSettings
from tasks.supervised.dropout import is_noisy, residual_dropout
from tasks.supervised.optimizers import optimizers_of
from tasks.supervised.training import Watch, configured, run_trainer

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
    optimizers = optimizers_of(model, settings)
    with_images = any(row.pixels is not None for row in rows)
    trainer = _trainer_of(model, settings, with_images=with_images)(
        model=model,
        args=configured(SFTConfig, settings, seed, scratch)(
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=not with_images,
        ),
        train_dataset=_data_set(rows, with_images=with_images),
        processing_class=policy.tokenizer,
        optimizers=optimizers,
    )
    if with_images:
        trainer.data_collator = _WithPixels(trainer.data_collator, rows)
    with residual_dropout(model, settings.dropout):
        return run_trainer(trainer, optimizers, watch)


def _trainer_of(
    model: PreTrainedModel, settings: SftSettings, *, with_images: bool
) -> Callable[..., SFTTrainer]:
    """Return the trainer for a model: TRL's own for embedded images and for a router's loss."""
    has_router_loss = getattr(model.config, "output_router_logits", False)
    if not with_images and not has_router_loss:
        reads_prefixes_once(model, 1)  # tried now: on a GPU training is in autocast, less exact
        # What rows share would share its noise too.
        shares = not settings.dropout and not is_noisy(model)
        return partial(ResponseTrainer, mean=settings.loss_mean, shares_prefixes=shares)
    if settings.loss_mean is not LossMean.TOKENS:
        code = "images-not-taken" if with_images else "router-loss"
        what = "demonstrations with images" if with_images else "models with a router loss"
        raise RefusedError(
            code,
            f"{what} learn by the mean of {LossMean.TOKENS}, but loss_mean is "
            f"{settings.loss_mean}: leave it out",
        )
    return SFTTrainer


def _data_set(rows: Sequence[Tokens], *, with_images: bool) -> Dataset:
    labels = [
        [token if written else NOT_LEARNED for token, written in zip(*row, strict=True)]
        for row in ((row.ids, row.is_response) for row in rows)
    ]
    numbers = {_ROW: list(range(len(rows)))} if with_images else {}
    return Dataset.from_dict(
        {"input_ids": [list(row.ids) for row in rows], "labels": labels, **numbers}
    )


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
