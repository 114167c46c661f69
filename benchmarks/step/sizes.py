"""One step at the sizes of real models on a GPU: seconds by phase, tokens a second, memory.

Weights are random. Each size runs in a process of its own, so that its peak memory is its own.

Model FLOPs are those of matrix products that the mathematics needs (PaLM, 2204.02311, appendix B):
2 for each weight and token of a forward pass, and 4 x width for each pair of tokens in causal
attention; twice as many backward, or as many where the weights are frozen. The output head counts
for the tokens that it reads. What is computed a second time is not counted, nor are tokens that
rows share counted once.

    share of the peak = model FLOPs / seconds / 989 TFLOP/s

The denominator is an H100's or H200's dense bf16 rate by its data sheet.
"""

import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks.common.results import Row
from benchmarks.step.case import Case, Scene
from benchmarks.step.limits import operations
from benchmarks.step.ours import Ours
from benchmarks.step.phases import backward_timed
from tasks.ledger.schema import LedgerSettings
from tasks.rollout.collect import Rollout

PEAK = 989.4e12
STEPS = 2
"""Measured updates, after one that is not counted. Sampling is measured once, after one."""
NEVER_CLOSED = 1000
"""Steps of a segment that no measurement fills."""


@dataclass(frozen=True)
class Size:
    """A model, its teachers and its rollouts; with a ledger where it fits beside them."""

    case: Case
    keeps_ledger: bool = True
    closes_segment: bool = False
    """Whether the cost of closing a segment is measured; it grows with weights times sources."""


SIZES = {
    "0.135 B": Size(
        Case(
            hidden_size=576,
            num_layers=30,
            num_heads=9,
            num_key_value_heads=3,
            head_size=64,
            feed_forward_size=1536,
            vocabulary_size=49_152,
            rollouts=256,
            new_tokens=512,
            num_teachers=4,
        ),
        closes_segment=True,
    ),
    "1.7 B": Size(
        Case(
            hidden_size=2048,
            num_layers=28,
            num_heads=16,
            num_key_value_heads=8,
            head_size=128,
            feed_forward_size=6144,
            vocabulary_size=151_936,
            rollouts=64,
            new_tokens=512,
            num_teachers=2,
        )
    ),
    "3.2 B": Size(
        Case(
            hidden_size=3072,
            num_layers=28,
            num_heads=24,
            num_key_value_heads=8,
            head_size=128,
            feed_forward_size=8192,
            vocabulary_size=128_256,
            rollouts=48,
            new_tokens=512,
            num_teachers=2,
            microbatch_tokens=4096,
        ),
        keeps_ledger=False,
    ),
    "7.6 B, LoRA": Size(
        Case(
            hidden_size=4096,
            num_layers=36,
            num_heads=32,
            num_key_value_heads=8,
            head_size=128,
            feed_forward_size=12_288,
            vocabulary_size=151_936,
            rollouts=32,
            new_tokens=512,
            num_teachers=4,
            lora_rank=16,
            checkpointing=True,
        ),
        keeps_ledger=False,
    ),
}
"""Shapes of SmolLM2-135M, Qwen3-1.7B, Llama-3.2-3B and Qwen3-8B, all built as a Qwen3 with a head
tied to the embedding."""


def measured(case: Case, size: Size) -> Row:
    """Return what one size does, on one device and in one precision."""
    scene = Scene(case)
    row, rollouts = _without_ledger(scene)
    if size.keeps_ledger:
        row["ledger"] = _with_ledger(scene, rollouts, closes=size.closes_segment)
    return row


def _without_ledger(scene: Scene) -> tuple[Row, list[Rollout]]:
    """Return the figures of a round that keeps no ledger, and rollouts to learn from again."""
    case, ours = scene.case, Ours(scene)
    rollouts = ours.source.rollouts(1)
    with backward_timed(ours.phases):
        ours.learn(rollouts)
        sampling = _seconds(case, lambda: ours.source.rollouts(2))
        learning = [_seconds(case, lambda: ours.learn(rollouts)) for _ in range(STEPS)]
        clocked = ours.step(rollouts)
    row: Row = {
        "case": vars(case),
        "parameters_billions": _billions(ours.student.parameters()),
        "trained_billions": _billions(ours.learner.optimizer.masters().values()),
        "tokens": sum(len(rollout.ids) for rollout in rollouts),
        "new_tokens": sum(rollout.num_response_tokens for rollout in rollouts),
        "microbatch_tokens": ours.microbatch_tokens,
        "seconds": {"sampling": sampling, "learning": learning},
        "learning_seconds_by_phase": {name: round(wall, 4) for name, (wall, _) in clocked.items()},
        **_rates(case, rollouts, sampling, median(learning)),
        "peak_gib": _peak_gib(),
    }
    return row, rollouts


def _with_ledger(scene: Scene, rollouts: Sequence[Rollout], *, closes: bool) -> Row:
    """Return the seconds of learning with a ledger, and of the step that closes its segment."""
    _start_anew()
    last = STEPS + 2 if closes else NEVER_CLOSED
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(
            scene, ledger=Path(folder, "ledger"), ledger_settings=LedgerSettings(segment_steps=last)
        )
        ours.learn(rollouts)
        learning = [_seconds(scene.case, lambda: ours.learn(rollouts)) for _ in range(STEPS)]
        row: Row = {"learning_seconds": learning, "peak_gib": _peak_gib()}
        if closes:
            closing = _seconds(scene.case, lambda: ours.learn(rollouts)) - median(learning)
            written = sum(file.stat().st_size for file in Path(folder).rglob("*.safetensors"))
            row |= {
                "closing_a_segment_seconds": round(closing, 2),
                "segment_gb": round(written / 1e9, 2),
                "sources": len(ours.objective.sources),
            }
    return row


def _rates(case: Case, rollouts: list[Rollout], sampling: float, learning: float) -> Row:
    work = operations(case, rollouts)
    drawn = work.pop("rollout")
    learned = sum(work.values())
    seconds = {"sampling": sampling, "learning": learning, "step": sampling + learning}
    flops = {"sampling": drawn, "learning": learned, "step": drawn + learned}
    new = sum(rollout.num_response_tokens for rollout in rollouts)
    return {
        "new_tokens_a_second": {name: round(new / taken) for name, taken in seconds.items()},
        "model_tflop": {name: round(count / 1e12, 1) for name, count in flops.items()},
        "share_of_peak": {
            name: round(flops[name] / taken / PEAK, 4) for name, taken in seconds.items()
        },
    }


def _seconds(case: Case, work: Callable[[], object]) -> float:
    """Return the wall seconds of one call, to the end of what it leaves to the device."""
    on_gpu = case.device != "cpu"
    if on_gpu:
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if on_gpu:
        torch.cuda.synchronize()
    return round(time.perf_counter() - started, 4)


def _billions(tensors: object) -> float:
    return round(sum(tensor.numel() for tensor in tensors) / 1e9, 4)  # type: ignore[attr-defined]


def _peak_gib() -> float:
    return round(torch.cuda.max_memory_allocated() / (1 << 30), 1)


def _start_anew() -> None:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
