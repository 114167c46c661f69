"""What a supervised stage resumes from: its optimizer with the schedule, and its TRL trainer.

A killed run ends in the same bits. transformers writes optimizer and random numbers as pickles, and
knows nothing of an optimizer that holds two others. So the trainer takes only weights, its counters
and the place in the data from the state's folder; optimizer, schedule, random numbers and the loss
since the last log are put back by the callbacks below.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file, save_model
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    get_linear_schedule_with_warmup,
)
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils import SAFE_WEIGHTS_NAME
from trl.trainer.sft_trainer import SFTTrainer

from lineage.records.record import Derivation
from tasks.platform.measurements import Measurements
from tasks.platform.resume import Part, RandomNumbers, States
from tasks.platform.step_runner import StepRunner
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

    @property
    def inner(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """The two optimizers, which hold the moments."""
        return self._muon, self._adamw

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


class Optimizers(NamedTuple):
    """An optimizer and the schedule of its learning rates."""

    optimizer: torch.optim.Optimizer
    schedule: LambdaLR


def optimizers_of(model: PreTrainedModel, settings: SftSettings) -> Optimizers:
    """Return AdamW, or Muon with AdamW, and a linear schedule with warm-up."""
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
    return Optimizers(optimizer, schedule)


def moments_of(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the moments and step counts of an optimizer, by its place, parameter and name."""
    return {
        f"{place}.{parameter}.{name}": value
        for place, inner in enumerate(_inner(optimizer))
        for parameter, values in inner.state_dict()["state"].items()
        for name, value in values.items()
    }


def load_moments(optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    """Go on from what ``moments_of`` returned."""
    for place, inner in enumerate(_inner(optimizer)):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in moments.items():
            of, parameter, name = key.split(".")
            if int(of) == place:
                state.setdefault(int(parameter), {})[name] = value
        inner.load_state_dict(inner.state_dict() | {"state": state})


def _inner(optimizer: torch.optim.Optimizer) -> tuple[torch.optim.Optimizer, ...]:
    return optimizer.inner if isinstance(optimizer, MuonWithAdamW) else (optimizer,)


MakeStates = Callable[[Part], States]
"""Returns the states of a run, given its trainer as a part."""
_OPTIMIZER = "optimizer.safetensors"
_COUNTERS = "counters.json"


def states_of(runner: StepRunner, derivation: Derivation, measurements: Measurements) -> MakeStates:
    """Keep the states of the run that makes ``derivation`` in the runner's store."""

    def make(trainer: Part) -> States:
        parts = {"trainer": trainer, "measurements": measurements}
        return States(runner.store, derivation.digest(), parts)

    return make


class ResumableTrainer(TrainerCallback):
    """Runs a trainer from its last state and saves new states between two steps."""

    def __init__(self, trainer: SFTTrainer, optimizers: Optimizers, states: MakeStates) -> None:
        """Resume ``trainer``, which steps these ``optimizers``."""
        self._trainer, self._optimizers = trainer, optimizers
        self._states = states(self)
        self._random = RandomNumbers()
        self._folder: Path | None = None
        trainer.add_callback(self)

    def train(self) -> None:
        """Train to the end, from the last state if there is one."""
        self._states.restore()
        self._trainer.train(resume_from_checkpoint=str(self._folder) if self._folder else None)

    def save(self, folder: Path) -> None:
        """Write all that the next step depends on."""
        trainer, (optimizer, schedule) = self._trainer, self._optimizers
        assert trainer.model is not None, "the trainer was given a model"
        save_model(trainer.model, str(folder / SAFE_WEIGHTS_NAME))
        trainer.state.save_to_json(str(folder / TRAINER_STATE_NAME))
        save_file(moments_of(optimizer), folder / _OPTIMIZER)
        counters = {
            "schedule": schedule.state_dict(),
            "loss": trainer._tr_loss.item(),
            "logged": trainer._globalstep_last_logged,
        }
        (folder / _COUNTERS).write_text(json.dumps(counters), "utf-8")
        self._random.save(folder)

    def load(self, folder: Path) -> None:
        """Have ``train`` go on from what ``save`` wrote."""
        self._folder = folder

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Restore optimizer and schedule: the trainer has prepared both by now."""
        if self._folder is None:
            return
        optimizer, schedule = self._optimizers
        schedule.load_state_dict(_counters(self._folder)["schedule"])
        for group, rate in zip(optimizer.param_groups, schedule.get_last_lr(), strict=True):
            group["lr"] = rate
        load_moments(optimizer, load_file(self._folder / _OPTIMIZER))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Save a state if one is due; in a resumed run, first restore what remains.

        Here the last step is logged and the next batch is drawn, so random numbers and the loss
        since the last log are the same in both runs.
        """
        if self._folder is None:
            if state.global_step > 0:
                self._states.save_if_due(state.global_step)
            return
        counters, trainer = _counters(self._folder), self._trainer
        trainer._tr_loss.fill_(counters["loss"])
        trainer._globalstep_last_logged = counters["logged"]
        self._random.load(self._folder)
        self._folder = None


def _counters(folder: Path) -> dict[str, Any]:
    counters: dict[str, Any] = json.loads((folder / _COUNTERS).read_text("utf-8"))
    return counters
