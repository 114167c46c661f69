"""How a stage configures a trainer of TRL, runs it from its last state, and passes its logs on.

TRL's defaults that surprise on a CPU (bf16, gradient checkpointing, reports) are set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import (
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from tasks.contracts.handover import StageLabel
from tasks.contracts.refusal import RefusedError
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.supervised.optimizers import Optimizers
from tasks.supervised.settings import TrainingSettings
from tasks.supervised.trainer_state import MakeStates, ResumableTrainer, StageTrainer

Log = Callable[[int, Mapping[str, float]], None]
Configured = TypeVar("Configured", bound=TrainingArguments)

_LOG_EVERY = 10
PLAIN = {name: name for name in ("loss", "grad_norm", "learning_rate")}
"""The metrics of every trainer: our name by transformers' name."""


@dataclass(frozen=True)
class Watch:
    """Where a run reports to, and where it keeps the states that it resumes from."""

    log: Log
    states: MakeStates | None = None
    metrics: Mapping[str, str] = field(default_factory=lambda: PLAIN)
    """Our name of each metric that is passed on, by the trainer's name."""


def configured(
    kind: type[Configured], settings: TrainingSettings, seed: int, scratch: Path
) -> Callable[..., Configured]:
    """Return TRL's arguments of a kind, which still take what is the stage's own."""

    def make(**own: Any) -> Configured:  # noqa: ANN401 - TRL's own
        arguments = kind(
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
            logging_steps=min(_LOG_EVERY, settings.num_steps),
            save_strategy="no",  # states in the store take its place: trainer_state.py
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **own,
        )
        # transformers would give a batch of this size to each GPU that it sees.
        arguments._n_gpu = min(1, arguments.n_gpu)
        return arguments

    return make


def run_trainer(trainer: StageTrainer, optimizers: Optimizers, watch: Watch) -> int:
    """Train to the end, from the last state if there is one; return the number of tokens trained.

    A token counts each time that a batch holds it, in a prompt too; padding does not.
    """
    trainer.remove_callback(PrinterCallback)  # our own log says it once
    trainer.add_callback(_Forward(watch))
    if watch.states is None:
        trainer.train()
    else:
        ResumableTrainer(trainer, optimizers, watch.states).train()
    return int(trainer._total_train_tokens)


def refuse_system_prompt(stage: StageLabel) -> None:
    """Refuse a system prompt for a stage that has no prompts to put it before.

    Raises:
        RefusedError: ``unread-system-prompt``.
    """
    if stage.system_prompt:
        raise RefusedError(
            "unread-system-prompt",
            f"{stage.name} reads no system prompt, because what it makes would be used without "
            "one: leave it out here, and give it to the stages that train a teacher",
        )


def logged(stage: str, num_steps: int, measurements: Measurements) -> Log:
    """Return a log that keeps what a stage measures and reports its progress."""

    def log(step: int, metrics: Mapping[str, float]) -> None:
        measurements.add(step, metrics)
        report(stage, step, num_steps, loss=metrics["loss"])

    return log


class _Forward(TrainerCallback):
    """Passes a trainer's logs on as numbers, under our names."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float | str] | None = None,
        **_: object,
    ) -> None:
        """Forward the metrics of a logging step; the log at the end has no loss."""
        names = self._watch.metrics
        metrics = {
            names[name]: float(value) for name, value in (logs or {}).items() if name in names
        }
        if "loss" in metrics:
            self._watch.log(state.global_step, metrics)
