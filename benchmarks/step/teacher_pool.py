"""Twelve teachers against one: peak memory and time of a whole step at equal tokens.

A student of 110 million random parameters learns from teachers of the same size: scoring, exact
reverse KL over the whole vocabulary, backward, optimizer step. There are as many tokens and
microbatches whatever the number of teachers. Memory is measured in a fresh process for each case:
its peak, and how much of it was anonymous and how much belonged to mapped files, whose pages the
kernel may take back. Times are steps of one process that take turns. "Cold" is a step whose
teachers' files are not in the page cache.

The optimizer keeps the teachers' gradients as one sum here: what a ledger costs for each source is
another question than what it costs to ask them.

    python -m benchmarks.step.teacher_pool --out benchmarks/results/teacher_pool.json
    python -m benchmarks.step.teacher_pool --device cuda --out teacher_pool_cuda.json
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.common.circumstances import facts, write
from benchmarks.common.process import drop_from_cache, in_own_process, largest_resident
from benchmarks.common.results import Row
from benchmarks.common.statistics import ratio_within_rounds
from benchmarks.step.as_one import ALL, AsOne
from lineage.digest import hex_of
from lineage.store.scratch import remove
from tasks.model.files import load_model
from tasks.model.log_probs import TokenBatch
from tasks.mopd.round_models import ScoreRequest
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings, TeacherPlacement
from tasks.mopd.teacher_pool.checkpoint import TeacherSource, digest_folder
from tasks.mopd.teacher_pool.hidden_cache import HiddenCache
from tasks.mopd.teacher_pool.pool import PoolSettings, TeacherPool, open_teachers
from tasks.mopd.teachers import StagedTeachers
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.resources import use_configured_threads
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Grade, Message, Prompt

MOST, NUMBERS, SEED = 12, (1, 2, 4, 8, 12), 0
VOCABULARY, ROUNDS = 32_000, 3
NUM_ROLLOUTS, PROMPT, RESPONSE = 12, 16, 48  # each rollout is a microbatch of its own
MIB = 1 << 20
SHAPE = Qwen3Config(
    vocab_size=VOCABULARY,
    hidden_size=768,
    intermediate_size=2048,
    num_hidden_layers=12,
    num_attention_heads=12,
    num_key_value_heads=12,
    head_dim=64,
    tie_word_embeddings=True,
)
PRECISION = {"cuda": torch.bfloat16, "cpu": torch.float32}


class Announced(StagedTeachers):
    """A pool that is told before each step who comes next, as in a round."""

    def __init__(self, pool: TeacherPool) -> None:
        """Take the pool; it is one stage."""
        super().__init__(HiddenCache(pool), [{name: name for name in pool.names}], num_steps=1)


class Unannounced(Announced):
    """A pool that is not told."""

    def begin_step(
        self,
        step: int,
        updates: Sequence[Sequence[ScoreRequest]],
        again: Sequence[ScoreRequest] = (),
    ) -> None:
        """Announce nothing."""
        self.pool.expect([])


def make_teachers(home: Path, precision: torch.dtype) -> list[TeacherSource]:
    """Write teachers of random weights, each into a folder that is named as a store names it."""
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    model = Qwen3ForCausalLM(SHAPE)
    nn.Module.to(model, precision)
    sources = []
    for number in range(MOST):
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data.normal_(std=0.02, generator=generator)
        folder = home / "unfinished"
        model.save_pretrained(folder)
        digest = digest_folder(folder)
        folder = folder.rename(home / hex_of(digest))
        sources.append(TeacherSource(f"t{number:02d}", digest, folder))
    return sources


def a_pool(
    sources: Sequence[TeacherSource], placement: TeacherPlacement, device: str
) -> TeacherPool:
    """Return an opened pool."""
    settings = PoolSettings(VOCABULARY, 1.0, torch.device(device), placement)
    return open_teachers(sources, settings)


def a_learner(sources: Sequence[TeacherSource], device: str) -> Learner:
    """Return a student that starts as the last teacher, in fp32."""
    student = load_model(sources[-1].folder)
    nn.Module.to(student, torch.device(device), torch.float32)
    settings = LoopSettings(num_steps=1000, learning_rate=1e-5, microbatch_tokens=PROMPT + RESPONSE)
    return Learner(student, settings, 1.0, 0, [ALL])


def rollouts(names: Sequence[str]) -> list[Rollout]:
    """Return the same random tokens for any teachers; each gets as many."""
    draw = random.Random(SEED)
    length = PROMPT + RESPONSE
    return [
        Rollout(
            domain=names[place % len(names)],
            prompt=Prompt(f"{place}", (Message("user", "?"),)),
            turns=(),
            grade=Grade(0.0),
            ids=tuple(draw.randrange(VOCABULARY) for _ in range(length)),
            is_response=tuple(at >= PROMPT for at in range(length)),
            sampler_log_probs=tuple([-10.4] * length),
            truncated=False,
        )
        for place in range(NUM_ROLLOUTS)
    ]


def step(learner: Learner, teachers: Announced) -> tuple[float, float]:
    """Do one whole step and return its seconds, on the clock and of the processor."""
    routing, played = Routing(Route(n, n) for n in teachers.names), rollouts(teachers.names)
    objective = AsOne(routing, teachers, DistilSettings(), learner.settings, [])
    started, busy = time.perf_counter(), time.process_time()
    learner.update(objective, objective.score(played), 1)
    if learner.model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, time.process_time() - busy


def memory_of(
    sources: list[TeacherSource], number: int, placement: TeacherPlacement, device: str
) -> Row:
    """Return the peaks of one step with so many teachers; called in a process of its own."""
    use_configured_threads()
    learner = a_learner(sources, device)
    pool = a_pool(sources[:number], placement, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with largest_resident() as found:
        step(learner, Announced(pool))
    if device == "cuda":
        found["cuda"] = torch.cuda.max_memory_allocated()
    return {f"{name}_mib": round(value / MIB) for name, value in found.items()}


def times_of(sources: list[TeacherSource], device: str) -> Row:
    """Return the seconds of steps that take turns; called in a process of its own."""
    use_configured_threads()
    learner = a_learner(sources, device)
    started = time.perf_counter()
    pools = {str(n): a_pool(sources[:n], TeacherPlacement.DISK, device) for n in NUMBERS}
    opened = time.perf_counter() - started
    pools["12 resident"] = a_pool(sources, TeacherPlacement.RESIDENT, device)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in pools}
    step(learner, Announced(pools["1"]))  # the first one also warms up
    for turn in range(ROUNDS):
        order = list(pools)
        for name in order[turn:] + order[:turn]:  # so that nobody always follows the same one
            seconds[name].append(step(learner, Announced(pools[name])))
    counts = {name: pool.counts.take() for name, pool in pools.items()}
    del pools["12 resident"]
    cold = {}
    for name, teachers in (("announced", Announced), ("not", Unannounced)):
        drop_others(pools["12"], sources, device)
        cold[name] = [round(s, 2) for s in step(learner, teachers(pools["12"]))]
    return {
        "open_27_teachers_seconds": round(opened, 2),
        "step_seconds": {n: [round(s, 2) for s, _ in each] for n, each in seconds.items()},
        "processor_seconds": {n: [round(s, 2) for _, s in each] for n, each in seconds.items()},
        "counts": {n: {k: round(v, 3) for k, v in c.items()} for n, c in counts.items()},
        "cold_step_and_processor_seconds": cold,
    }


def drop_others(pool: TeacherPool, sources: Sequence[TeacherSource], device: str) -> None:
    """Drop the files of all teachers but the first from the page cache; that one is mapped."""
    tokens = TokenBatch(
        torch.ones(1, 2, dtype=torch.long), torch.zeros(1).long(), torch.ones(1).long()
    )
    pool.hidden(pool.names[0], tokens.to(torch.device(device)))
    for source in sources[1:]:
        drop_from_cache(source.folder / "model.safetensors")


def measure(home: Path, device: str) -> Row:
    """Return all figures."""
    sources = make_teachers(home, PRECISION[device])
    disk, resident = TeacherPlacement.DISK, TeacherPlacement.RESIDENT
    memory = {str(n): in_own_process(memory_of, sources, n, disk, device) for n in NUMBERS}
    memory["12 resident"] = in_own_process(memory_of, sources, MOST, resident, device)
    times = in_own_process(times_of, sources, device)
    peak = "cuda_mib" if device == "cuda" else "peak_mib"
    middle = {n: statistics.median(s) for n, s in times["step_seconds"].items()}
    clocks = {"step": times["step_seconds"], "processor": times["processor_seconds"]}
    return {
        "teacher_parameters_millions": round(
            sum(p.numel() for p in load_model(sources[0].folder).parameters()) / 1e6, 1
        ),
        "teacher_mib": round((sources[0].folder / "model.safetensors").stat().st_size / MIB),
        "precision": str(PRECISION[device]).removeprefix("torch."),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": int(os.environ.get("PROVOST_THREADS") or 1),
        "tokens": NUM_ROLLOUTS * (PROMPT + RESPONSE),
        "response_tokens": NUM_ROLLOUTS * RESPONSE,
        "seed": SEED,
        "memory": memory,
        **times,
        "peak_memory_12_to_1": round(memory["12"][peak] / memory["1"][peak], 3),
        "anonymous_memory_12_to_1": round(
            memory["12"]["anonymous_mib"] / memory["1"]["anonymous_mib"], 3
        ),
        "peak_memory_12_resident_to_1": round(memory["12 resident"][peak] / memory["1"][peak], 3),
        "step_seconds_median": {n: round(s, 2) for n, s in middle.items()},
        **{
            f"{name}_time_{label}": ratio_within_rounds(seconds["12"], seconds[other])
            for label, other in (("12_to_1", "1"), ("disk_to_resident", "12 resident"))
            for name, seconds in clocks.items()
        },
        "target": "12 to 1: peak memory at most 1.10, step time at most 1.15",
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    given = parser.parse_args()
    circumstances = facts(given.device)
    home = Path(tempfile.mkdtemp(prefix="teachers "))
    try:
        figures = measure(home, given.device)
    finally:
        remove(home)
    del circumstances["clean"]  # of the lineage's files
    circumstances |= {"torch": torch.__version__, "load_after": round(os.getloadavg()[0], 2)}
    write(given.out, figures, circumstances)


if __name__ == "__main__":
    main()
