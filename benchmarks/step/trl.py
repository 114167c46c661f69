"""One step of TRL's DistillationTrainer, timed by phase, with what runs between two of its steps.

Its defaults are kept where they do not change the work: fused AdamW, its logging, its chunked loss.
bf16 and checkpointing, on by default, are off on a CPU, and telemetry is off.
"""

import os
from collections.abc import Callable, Iterator, Sequence

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TrainerCallback
from trl.trainer import distillation_trainer
from trl.trainer.distillation_config import DistillationConfig
from trl.trainer.distillation_trainer import DistillationTrainer

from benchmarks.step.case import Scene
from benchmarks.step.phases import SAMPLING, Phases, Seconds
from tasks.rollout.collect import Rollout

Between = Callable[[Seconds], None]


class Trl:
    """TRL's trainer over a scene's student, teacher and prompts."""

    def __init__(self, scene: Scene, rows: int, steps: int, folder: str) -> None:
        """Make the trainer.

        Args:
            scene: Models and prompts.
            rows: Rollouts a microbatch (``per_device_train_batch_size``).
            steps: How many steps ``run`` does.
            folder: For what it writes.
        """
        if os.environ.get("HF_HUB_DISABLE_TELEMETRY") != "1":
            raise RuntimeError("TRL sends telemetry: set HF_HUB_DISABLE_TELEMETRY=1 before")
        self.scene, self.phases = scene, Phases(scene.case.device)
        self.trainer = _trainer(scene, rows, steps, folder)
        self._watch()

    def run(self, between: Between) -> None:
        """Do all steps; hand the seconds of each to ``between``, whose own time is not counted."""
        self.trainer.add_callback(_Steps(self.phases, between))
        self.trainer.train()

    def loss(self, rollouts: Sequence[Rollout]) -> tuple[float, float]:
        """Return TRL's loss of given rollouts, and the norm of its gradient."""
        trainer, model = self.trainer, self._student
        inputs = _inputs(rollouts, self.scene.chat.pad_id, model.device)
        model.zero_grad()
        items = inputs["completion_mask"].sum()
        with torch.autocast(model.device.type, torch.bfloat16, enabled=trainer.args.bf16):
            loss, _, _ = trainer._compute_loss(model, inputs, items)
        loss.backward()
        norms = [p.grad.double().norm() for p in model.parameters() if p.grad is not None]
        model.zero_grad()
        return loss.item(), float(torch.stack(norms).norm())

    @property
    def _student(self) -> PreTrainedModel:
        assert isinstance(self.trainer.model, PreTrainedModel)
        return self.trainer.model

    def _watch(self) -> None:
        trainer, phases = self.trainer, self.phases
        phases.watch(self._student.base_model, "student forward")
        phases.watch(trainer.teacher_model.base_model, "teacher forward")
        name = "_generate_and_score_completions"
        setattr(trainer, name, phases.wrap(SAMPLING, getattr(trainer, name)))
        distillation_trainer._chunked_divergence_loss = phases.wrap(
            "heads and loss",
            distillation_trainer._chunked_divergence_loss,
        )


class _Steps(TrainerCallback):
    """Ends the clock after each step, and starts it again when the other side has had its turn."""

    def __init__(self, phases: Phases, between: Between) -> None:
        self._phases, self._between = phases, between

    def on_train_begin(
        self, args: object, state: object, control: object, **kwargs: object
    ) -> None:
        optimizer = kwargs["optimizer"]
        assert isinstance(optimizer, torch.optim.Optimizer)
        optimizer.step = self._phases.wrap("optimizer", optimizer.step)  # type: ignore[method-assign, assignment]
        self._phases.start()

    def on_step_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
        self._between(self._phases.stop())
        self._phases.start()


def _trainer(scene: Scene, rows: int, steps: int, folder: str) -> DistillationTrainer:
    case = scene.case
    on_cpu = torch.device(case.device).type == "cpu"
    settings = DistillationConfig(
        output_dir=folder,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=case.rollouts // rows,
        max_steps=steps,
        learning_rate=case.learning_rate,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        max_completion_length=case.new_tokens,
        beta=1.0,
        bf16=case.precision == "bfloat16",
        gradient_checkpointing=False,
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        save_strategy="no",
        report_to="none",
        shuffle_dataset=case.responses_per_prompt == 1,
        disable_tqdm=True,
        seed=case.seed,
    )
    # Neighbors share a prompt where ours do.
    texts = [text for text in scene.texts for _ in range(case.responses_per_prompt)]
    prompts = [{"prompt": [{"role": "user", "content": text}]} for text in texts]
    student, teacher = scene.student(), scene.teacher().eval().requires_grad_(requires_grad=False)
    trainer = DistillationTrainer(
        model=student,
        teacher_model=teacher,
        args=settings,
        train_dataset=Dataset.from_list(prompts),
        processing_class=_left_padded(scene),
    )
    # No token ends a rollout, and no logits processor has to see to it: that would cost time.
    trainer.eos_token_ids = []
    trainer.generation_config.eos_token_id = None
    trainer.generation_kwargs["eos_token_id"] = None
    torch.set_num_threads(case.threads)
    return trainer


def _left_padded(scene: Scene) -> PreTrainedTokenizerFast:
    tokenizer = scene.tokenizer
    tokenizer.padding_side = "left"
    return tokenizer


def _inputs(rollouts: Sequence[Rollout], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """Return rollouts as TRL's loss takes them: prompts padded left, completions right."""
    prompts = [[i for i, own in _flags(r) if not own] for r in rollouts]
    completions = [[i for i, own in _flags(r) if own] for r in rollouts]
    padded = {"prompt": _pad(prompts, pad_id, left=True), "completion": _pad(completions, pad_id)}
    inputs: dict[str, Tensor] = {}
    for part, (ids_BS, mask_BS) in padded.items():
        inputs |= {f"{part}_ids": ids_BS.to(device), f"{part}_mask": mask_BS.to(device)}
    return inputs


def _flags(rollout: Rollout) -> Iterator[tuple[int, bool]]:
    return zip(rollout.ids, rollout.is_response, strict=True)


def _pad(
    rows: Sequence[Sequence[int]], pad_id: int, *, left: bool = False
) -> tuple[Tensor, Tensor]:
    width = max(len(row) for row in rows)
    ids_BS = torch.full((len(rows), width), pad_id)
    mask_BS = torch.zeros((len(rows), width), dtype=torch.long)
    for place, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        ids_BS[place, where] = torch.tensor(row)
        mask_BS[place, where] = 1
    return ids_BS, mask_BS
