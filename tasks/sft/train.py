"""Supervised training with TRL's SFTTrainer: text for a base, demonstrations for a chat model.

Episodes are tokenized here (``tasks.model.chat``) and handed to TRL as ids with a mask, so that
training sees the same tokens as sampling does. TRL's defaults that surprise on a CPU (bf16,
gradient checkpointing, reports) are set.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import Tokens
from tasks.model.files import Policy
from tasks.sft.settings import SftSettings
from tasks.sft.trainer_state import MakeStates, ResumableTrainer, optimizers_of

Log = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Watch:
    """Where a run reports to, and where it keeps the states that it resumes from."""

    log: Log
    states: MakeStates | None = None


_LOG_EVERY = 10
_NOT_LEARNED = -100


def supervise(
    policy: Policy,
    rows: Sequence[Tokens],
    settings: SftSettings,
    seed: int,
    scratch: Path,
    watch: Watch,
) -> None:
    """Train the policy in place on tokenized rows; loss counts where ``is_response`` is set.

    A run that was killed goes on from its last state, to the same bits.

    Raises:
        ValueError: for no rows, or a row longer than the model's positions.
    """
    model = policy.model
    _check(rows, model)
    data = Dataset.from_dict(
        {
            "input_ids": [list(row.ids) for row in rows],
            "labels": [
                [token if written else _NOT_LEARNED for token, written in zip(*row, strict=True)]
                for row in ((row.ids, row.is_response) for row in rows)
            ],
        }
    )
    optimizers = optimizers_of(model, settings)
    trainer = SFTTrainer(
        model=model,
        args=_arguments(settings, seed, scratch),
        train_dataset=data,
        processing_class=policy.tokenizer,
        optimizers=optimizers,
        callbacks=[_Forward(watch.log)],
    )
    trainer.remove_callback(PrinterCallback)  # our own log says it once
    if watch.states is None:
        trainer.train()
    else:
        ResumableTrainer(trainer, optimizers, watch.states).train()


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
    limit = getattr(model.config, "max_position_embeddings", None)
    longest = max(len(row.ids) for row in rows)
    if limit is not None and longest > limit:
        raise RefusedError(
            "demonstration-too-long",
            f"a demonstration has {longest} tokens but the model takes {limit}: shorten or leave "
            "out the longest demonstrations",
        )


def _arguments(settings: SftSettings, seed: int, scratch: Path) -> SFTConfig:
    return SFTConfig(
        output_dir=str(scratch),
        max_steps=settings.num_steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        max_grad_norm=1.0,
        seed=seed,
        data_seed=seed,
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        activation_checkpointing=False,
        max_length=None,
        logging_steps=min(_LOG_EVERY, settings.num_steps),
        save_strategy="no",  # states in the store take its place: trainer_state.py
        report_to="none",
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_pin_memory=False,
    )


class _Forward(TrainerCallback):
    """Passes TRL's logs on as numbers."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float | str] | None = None,
        **_: object,
    ) -> None:
        """Forward loss, learning rate and gradient norm of a logging step."""
        wanted = ("loss", "grad_norm", "learning_rate")
        metrics = {name: float(logs[name]) for name in wanted if logs and name in logs}
        if "loss" in metrics:
            self._log(state.global_step, metrics)
