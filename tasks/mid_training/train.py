"""Training on packed rows with TRL's SFTTrainer."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from tasks.mid_training.rows import PackedRow
from tasks.mid_training.settings import MidTrainingSettings
from tasks.model.files import Policy
from tasks.supervised.optimizers import optimizers_of
from tasks.supervised.training import Watch, configured, run_trainer


def read_rows(
    policy: Policy,
    rows: Sequence[PackedRow],
    settings: MidTrainingSettings,
    seed: int,
    scratch: Path,
    watch: Watch,
) -> int:
    """Train the policy in place on rows of one width; return the number of tokens trained.

    A run that was killed goes on from its last state, to the same bits.
    """
    model = policy.model.float()  # bf16 weights would lose most of a small update
    optimizers = optimizers_of(model, settings)
    trainer = PackedTrainer(
        model=model,
        args=configured(SFTConfig, settings, seed, scratch)(
            max_length=None,
            remove_unused_columns=False,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=Dataset.from_list([vars(row) for row in rows]),
        data_collator=_batch,
        processing_class=policy.tokenizer,
        optimizers=optimizers,
    )
    return run_trainer(trainer, optimizers, watch)


def _batch(rows: Sequence[Mapping[str, list[int]]]) -> dict[str, Tensor]:
    """Return a batch without a mask: transformers reads the documents from the positions."""
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


class PackedTrainer(SFTTrainer):
    """TRL's trainer, which counts the tokens of all rows of a batch."""

    def compute_loss(  # type: ignore[override]
        self,
        model: PreTrainedModel,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - as transformers calls it
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor:
        """Return TRL's loss. It takes a batch without a mask for one long row."""
        before = self._total_train_tokens
        compute = cast("Callable[..., Tensor]", super().compute_loss)
        loss = compute(model, inputs, return_outputs, num_items_in_batch)
        self._total_train_tokens = before + inputs["input_ids"].numel()
        return loss
