"""How far each part of a step is from what this machine can do at most.

The limits are measured, not read from a data sheet: the fastest square matrix product and the
fastest pass over memory that torch does here with as many threads.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.step.case import Case, Scene
from benchmarks.step.ours import Ours
from benchmarks.step.phases import backward_timed
from tasks.rollout.collect import Rollout

STEPS = 5


def limits(case: Case) -> dict[str, Any]:
    """Return each phase's work, its seconds, its rate, and that as a share of the limit."""
    scene = Scene(case)
    ours = Ours(scene)
    peak, bandwidth = matmul_peak(case), memory_bandwidth(case)
    with backward_timed(ours.phases):
        steps = [ours.step() for _ in range(2 + STEPS)][2:]
        rollouts = ours.source.rollouts(1)
    # A lone thread's processor time leaves out what others took of the machine meanwhile.
    clock = int(case.device == "cpu" and case.threads == 1)
    best = {name: min(seconds[name][clock] for seconds in steps) for name in steps[0]}
    work = operations(case, rollouts)
    parameters = sum(p.numel() for p in ours.student.parameters())
    moved = 4 * parameters * _passes()
    step = sum(best.values())
    return {
        "case": vars(case) | {"parameters": parameters},
        "matmul_peak_gflops": round(peak / 1e9, 1),
        "memory_bandwidth_gb_s": round(bandwidth / 1e9, 1),
        "phases": {
            name: {"seconds": round(best[name], 4), "share_of_step": round(best[name] / step, 3)}
            | _rate(work.get(name), best[name], peak)
            for name in best
        },
        "learner_share_of_matmul_peak": round(_learner(work, best) / peak, 3),
        "learner_tokens_a_second": round(
            sum(len(r.ids) for r in rollouts) / sum(best[n] for n in best if n != "rollout")
        ),
        "optimizer": {
            "bytes": moved,
            "gb_s": round(moved / best["optimizer"] / 1e9, 1),
            "share_of_memory_bandwidth": round(moved / best["optimizer"] / bandwidth, 3),
        },
    }


def matmul_peak(case: Case) -> float:
    """Return the fastest product of square matrices in operations a second."""
    on_gpu, best = case.device != "cpu", 0.0
    for size in (8192, 4096) if on_gpu else (512, 1024, 2048):
        left = torch.randn(size, size, device=case.device, dtype=getattr(torch, case.precision))
        best = max(best, 2 * size**3 / _seconds(partial(torch.matmul, left, left), on_gpu=on_gpu))
    return best


def memory_bandwidth(case: Case) -> float:
    """Return the fastest pass a + b -> c over arrays far larger than the caches, in bytes/s."""
    on_gpu = case.device != "cpu"
    count = (1 << 28) if on_gpu else (1 << 25)
    a, b, c = (torch.ones(count, device=case.device) for _ in range(3))
    return 12 * count / _seconds(lambda: torch.add(a, b, out=c), on_gpu=on_gpu)


def _seconds(work: Callable[[], object], *, on_gpu: bool, repeats: int = 12) -> float:
    fastest = float("inf")
    clock = time.process_time if torch.get_num_threads() == 1 and not on_gpu else time.perf_counter
    for _ in range(repeats):
        started = clock()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        fastest = min(fastest, clock() - started)
    return fastest


def operations(case: Case, rollouts: list[Rollout]) -> dict[str, float]:
    """Return each phase's multiplications and additions in matrix products, padding left out."""
    # Frozen weights get no gradient; the adapter's own is a hundredth of that.
    backward = 1 if case.lora_rank else 2
    layers, head = case.parameters()
    tokens = sum(len(r.ids) for r in rollouts)
    new = sum(r.num_response_tokens for r in rollouts)
    # Causal attention: each token looks at all before it; scores and their use, 2 operations each.
    width = case.num_heads * case.head_size * case.num_layers
    attention = sum(2 * width * len(r.ids) * (len(r.ids) + 1) for r in rollouts)
    body, heads = 2 * layers * tokens + attention, 2 * head * new
    return {
        "rollout": body + heads,
        "teacher forward": body,
        "student forward": body,
        "heads and loss": 2 * heads,
        "backward": backward * (body + heads),
    }


def _passes() -> int:
    """Return how many fp32 numbers a weight SplitAdamW reads or writes for one source, at least.

    Read: gradient, both moments, weight. Written: both moments, weight, and the gradient's zero.
    """
    return 8


def _rate(operations: float | None, seconds: float, peak: float) -> dict[str, float]:
    if operations is None:
        return {}
    rate = operations / seconds
    return {"gflops": round(rate / 1e9, 1), "share_of_matmul_peak": round(rate / peak, 3)}


def _learner(work: dict[str, float], seconds: dict[str, float]) -> float:
    names = [name for name in work if name != "rollout"]
    return sum(work[name] for name in names) / sum(
        value for name, value in seconds.items() if name != "rollout"
    )
