"""One step at the shape of a real model of 135 M weights, against TRL, beside the machine's limits.

TRL's microbatch is swept first, and the fastest is compared. Our ledger is on. With several
responses to a prompt, a group's prompt is read once here; TRL reads it for each response.

A phase's limit is the time of its matrix products at this machine's fastest rate, in which a prompt
that responses share counts once. Sampling is also bound by reading the weights for each new token.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.step.case import Case, Scene
from benchmarks.step.limits import matmul_peak, memory_bandwidth, operations
from benchmarks.step.ours import Ours
from benchmarks.step.phases import SAMPLING, Seconds
from benchmarks.step.sizes import SIZES
from benchmarks.step.trl import Trl
from benchmarks.step.versus import against_trl, total
from tasks.rollout.collect import Rollout

SWEPT = (4, 8, 16)
"""Rollouts a microbatch of TRL's; all of a step are 16."""
PROMPT, RESPONSE, ROLLOUTS = 128, 64, 16
_BYTES = {"float32": 4, "bfloat16": 2}


def case_of(precision: str, threads: int, responses_per_prompt: int, device: str) -> Case:
    """Return SmolLM2-135M's shape with 16 rollouts of 64 new tokens behind 128."""
    return replace(
        SIZES["0.135 B"].case,
        rollouts=ROLLOUTS,
        new_tokens=RESPONSE,
        prompt_tokens=PROMPT,
        responses_per_prompt=responses_per_prompt,
        num_teachers=1,
        precision=precision,
        threads=threads,
        device=device,
        learning_rate=1e-5,
    )


def at_real_shape(case: Case, steps: int) -> dict[str, Any]:
    """Return both sides' times at TRL's best microbatch, and the limit of each phase."""
    swept = {rows: _trl_seconds(case, rows) for rows in SWEPT}
    best = min(swept, key=lambda rows: swept[rows])
    with tempfile.TemporaryDirectory() as folder:
        found = against_trl(case, best, steps, ledger=Path(folder))
    least = limits_of(case, matmul_peak(case), memory_bandwidth(case))
    clock = ("wall", "processor")[_clock(case)]
    taken = {name: found["provost"][clock][name]["median"] for name in least}
    return {
        "trl_seconds_by_rows": {str(rows): round(each, 2) for rows, each in swept.items()},
        **found,
        "limits": {
            name: {"seconds": round(seconds, 3), "reached": round(seconds / taken[name], 3)}
            for name, seconds in least.items()
        },
        "share_of_limit": round(sum(least.values()) / found["provost"][clock]["step"]["median"], 3),
    }


def _trl_seconds(case: Case, rows: int) -> float:
    """Return TRL's seconds of its second step."""
    taken: list[Seconds] = []
    with tempfile.TemporaryDirectory() as folder:
        Trl(Scene(case), rows, 2, folder).run(between=taken.append)
    return total(taken[-1], _clock(case))


def _clock(case: Case) -> int:
    """Return which clock counts: the processor's of one thread, else the wall's."""
    return int(case.device == "cpu" and case.threads == 1)


def limits_of(case: Case, peak: float, bandwidth: float) -> dict[str, float]:
    """Return each phase's least seconds, by its matrix products and the weights it must read."""
    rollouts = Ours(Scene(case)).source.rollouts(1)
    work = operations(case, rollouts)
    repeated = 2 * case.parameters()[0] * _repeated_tokens(rollouts)
    twice = {"backward": 2}
    seconds = {
        name: (of - (0 if name == "heads and loss" else repeated * twice.get(name, 1))) / peak
        for name, of in work.items()
    }
    weights = sum(case.parameters()) * _BYTES[case.precision]
    seconds[SAMPLING] = max(seconds[SAMPLING], case.new_tokens * weights / bandwidth)
    return seconds


def _repeated_tokens(rollouts: Sequence[Rollout]) -> int:
    """Return how many tokens of prompts occur before, in another response to the same prompt."""
    prompts: Mapping[str, int] = {
        rollout.prompt.id: len(rollout.ids) - rollout.num_response_tokens for rollout in rollouts
    }
    all_of = sum(len(rollout.ids) - rollout.num_response_tokens for rollout in rollouts)
    return all_of - sum(prompts.values())
