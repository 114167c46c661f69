"""One step of SFT, against TRL's own trainer on the same rows.

Three sides take turns, batch by batch, each with a model of its own: TRL's trainer; TRL's trainer
with rows of like length in a batch, its strongest setting without packing (``group_by_length``);
and ours. All have the same rows, the same optimizer and no telemetry, in fp32.

    python -m benchmarks.step.supervised demo
    python -m benchmarks.step.supervised real
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}

import torch
from datasets import Dataset
from torch import Tensor
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from benchmarks.common.circumstances import write_result
from benchmarks.step.case import Case, Scene
from benchmarks.step.sizes import SIZES
from tasks.model.chat import Tokens
from tasks.sft.response_loss import NOT_LEARNED, ResponseTrainer
from tasks.sft.settings import LossMean

BATCHES = 16
"""Batches of each side; two more come first and are not counted."""
FEW = 2
SEED = 0


@dataclass(frozen=True)
class Shape:
    """A model and the rows of a batch; lengths are drawn evenly between two numbers."""

    case: Case
    rows: int
    shared: int
    """Tokens that every prompt begins with: template and system prompt."""
    prompt: tuple[int, int]
    """Lengths of the rest of a prompt."""
    response: tuple[int, int]


SHAPES = {
    "demo": Shape(replace(Case(), prompt_tokens=64), 32, 3, (8, 40), (2, 18)),
    "real": Shape(replace(SIZES["0.135 B"].case, prompt_tokens=64), 8, 24, (18, 44), (6, 30)),
}
"""The demo's demonstrations (37 tokens, 10 of them learned), and those of a team of the proof on a
real model (73 tokens, 18 of them learned)."""


class Side:
    """A trainer with a model of its own, and the seconds of its steps."""

    def __init__(self, scene: Scene, make: Callable[..., SFTTrainer], folder: str) -> None:
        """Make the trainer by TRL's defaults, but for bf16 and checkpointing, which it has on."""
        self.model = scene.student().float()
        rows = Dataset.from_dict({"input_ids": [[5, 6]], "labels": [[NOT_LEARNED, 6]]})
        self.trainer = make(
            model=self.model,
            args=SFTConfig(
                output_dir=folder,
                use_cpu=True,
                bf16=False,
                activation_checkpointing=False,
                max_length=None,
                report_to="none",
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
            train_dataset=rows,
            processing_class=scene.tokenizer,
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5)
        self.seconds: list[float] = []

    def step(self, rows: Sequence[Tokens]) -> float:
        """Take a step on a batch and return its loss."""
        started = time.process_time()
        loss = self.trainer.compute_loss(self.model, self._batch(rows))
        assert isinstance(loss, Tensor)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seconds.append(time.process_time() - started)
        return float(loss.detach())

    def _batch(self, rows: Sequence[Tokens]) -> dict[str, Tensor]:
        examples = [
            {
                "input_ids": list(row.ids),
                "labels": [
                    token if written else NOT_LEARNED
                    for token, written in zip(row.ids, row.is_response, strict=True)
                ],
            }
            for row in rows
        ]
        batch: dict[str, Tensor] = self.trainer.data_collator(examples)
        return batch


def main() -> None:
    """Measure one shape."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shape", choices=SHAPES)
    name = parser.parse_args().shape
    write_result(f"step_supervised_{name}", "cpu", measured(SHAPES[name]))


def measured(shape: Shape) -> dict[str, Any]:
    """Return the seconds of each side's steps, and how far losses of the same rows differ."""
    torch.manual_seed(SEED)
    scene = Scene(shape.case)
    rows = drawn(shape, (BATCHES + FEW) * shape.rows)
    own = [*in_batches(rows, shape.rows)]
    grouped = [*in_batches(sorted(rows, key=lambda row: len(row.ids)), shape.rows)]
    random.Random(SEED).shuffle(grouped)
    with tempfile.TemporaryDirectory() as folder:
        trl, alike = (Side(scene, SFTTrainer, folder) for _ in range(2))
        ours = Side(scene, _ours, folder)
        gaps = []
        for plain, sorted_rows in zip(own, grouped, strict=True):
            gaps.append(abs(trl.step(plain) - ours.step(plain)))
            alike.step(sorted_rows)
    return {
        "seed": SEED,
        "rows": shape.rows,
        "tokens": round(sum(len(row.ids) for row in rows) / len(rows), 1),
        "learned": round(sum(sum(row.is_response) for row in rows) / len(rows), 1),
        "seconds": {
            side: [round(seconds, 4) for seconds in each.seconds[FEW:]]
            for side, each in (("trl", trl), ("trl_grouped", alike), ("ours", ours))
        },
        "largest_gap_of_losses": max(gaps),
    }


def drawn(shape: Shape, count: int) -> list[Tokens]:
    """Return rows of random tokens."""
    draw = random.Random(SEED)
    last = shape.case.vocabulary_size - 1
    begin = [draw.randint(5, last) for _ in range(shape.shared)]
    rows = []
    for _ in range(count):
        prompt, response = draw.randint(*shape.prompt), draw.randint(*shape.response)
        ids = (*begin, *(draw.randint(5, last) for _ in range(prompt + response)))
        rows.append(Tokens(ids, (False,) * (shape.shared + prompt) + (True,) * response))
    return rows


def in_batches(rows: Sequence[Tokens], size: int) -> Iterator[Sequence[Tokens]]:
    """Yield rows in batches."""
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _ours(**arguments: Any) -> SFTTrainer:  # noqa: ANN401 - TRL's own
    return ResponseTrainer(mean=LossMean.TOKENS, shares_prefixes=True, **arguments)


if __name__ == "__main__":
    main()
