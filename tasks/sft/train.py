"""Supervised training with TRL's SFTTrainer: text for a base, demonstrations for a chat model.

Episodes are tokenised here (``tasks.model.chat``) and handed to TRL as ids with a mask, so that
training sees the same tokens as sampling does. TRL's defaults that surprise on a CPU (bf16,
gradient checkpointing, reports) are set.
"""

from collections.abc import Callable, Mapping, Sequence
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
    get_linear_schedule_with_warmup,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from tasks.model.chat import Tokens
from tasks.model.files import Policy
from tasks.refusal import RefusedError
from tasks.sft.settings import SftSettings

MUON_TO_ADAMW = 0.5
"""AdamW's learning rate as a share of Muon's (with Muon scaled to AdamW's update size)."""


class MuonWithAdamW(torch.optim.Optimizer):
    """One optimizer over two: schedulers see the parameter groups of both."""

    def __init__(self, model: PreTrainedModel, learning_rate: float, weight_decay: float) -> None:
        """Give hidden matrices to Muon; embeddings, output head and vectors to AdamW."""
        ends = (model.get_input_embeddings(), model.get_output_embeddings())
        outside = {id(p) for end in ends for p in end.parameters()}
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


Log = Callable[[int, Mapping[str, float]], None]
_LOG_EVERY = 10
_NOT_LEARNED = -100


def supervise(
    policy: Policy,
    rows: Sequence[Tokens],
    settings: SftSettings,
    seed: int,
    scratch: Path,
    log: Log,
) -> None:
    """Train the policy in place on tokenised rows; loss counts where ``is_response`` is set.

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
    trainer = SFTTrainer(
        model=model,
        args=_arguments(settings, seed, scratch),
        train_dataset=data,
        processing_class=policy.tokenizer,
        optimizers=_optimizers(model, settings),
        callbacks=[_Forward(log)],
    )
    trainer.remove_callback(PrinterCallback)  # our own log says it once
    trainer.train()


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
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_pin_memory=False,
    )


def _optimizers(
    model: PreTrainedModel, settings: SftSettings
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
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
    schedule = get_linear_schedule_with_warmup(optimizer, settings.warmup_steps, settings.num_steps)
    return optimizer, schedule


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
