"""What a stage resumes from: its optimizer with the schedule, and its trainer of TRL.

A killed run ends in the same bits. transformers writes optimizer and random numbers as pickles, and
knows nothing of an optimizer that holds two others. So the trainer takes only weights, its counters
and the place in the data from the state's folder; optimizer, schedule, random numbers and what was
measured since the last log are put back by the callbacks below.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file, save_model
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils import SAFE_WEIGHTS_NAME
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.sft_trainer import SFTTrainer

from lineage.records.record import Derivation
from tasks.platform.measurements import Measurements
from tasks.platform.resume import Part, RandomNumbers, States
from tasks.platform.step_runner import StepRunner
from tasks.supervised.optimizers import Optimizers, load_moments, moments_of

StageTrainer = SFTTrainer | DPOTrainer | RewardTrainer
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

    def __init__(self, trainer: StageTrainer, optimizers: Optimizers, states: MakeStates) -> None:
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
            "metrics": trainer._metrics["train"],
            "tokens": trainer._total_train_tokens,
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
        trainer._metrics["train"].update(counters["metrics"])
        trainer._total_train_tokens = counters["tokens"]
        self._random.load(self._folder)
        self._folder = None


def _counters(folder: Path) -> dict[str, Any]:
    counters: dict[str, Any] = json.loads((folder / _COUNTERS).read_text("utf-8"))
    return counters
