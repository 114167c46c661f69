"""Rollouts: this project's sampler against transformers' ``generate``, side by side in one run.

Both write the same number of tokens for the same contexts with the same model, and sample from the
whole distribution; ``generate`` gets no other work than that, and no log-probabilities are asked of
it. Rounds alternate, and ratios are of medians. On a CPU the clock is the processor time of the one
thread, so that other work on the machine counts less. The table goes over batch size, length and
vocabulary, one at a time.

On CUDA the model has over a billion random bf16 weights, and two ways of transformers stand beside:
``generate`` with its own static cache, and continuous batching.

    python -m benchmarks.step.sampler --out benchmarks/results/sampler.json
    python -m benchmarks.step.sampler --device cuda --out sampler_cuda.json
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from benchmarks.common.circumstances import facts, write
from benchmarks.common.results import Row
from benchmarks.step.case import NEVER
from tasks.rollout.sampling.transformers import sampler as ours
from tasks.rollout.sampling.transformers.pace import Pace, pace_of
from tasks.rollout.sampling.transformers.sampler import TransformersSampler
from tasks.rollout.settings import SamplingSettings

Written = Callable[[], Sequence[Sequence[int]]]
"""A call that returns the tokens of each row."""
SEED, PAD = 0, 0


@dataclass(frozen=True)
class Case:
    """One line of the table; the defaults are the demo's model and answers."""

    rows: int = 256
    context_tokens: int = 26
    new_tokens: int = 24
    vocabulary: int = 384
    hidden_size: int = 128
    num_layers: int = 3
    num_heads: int = 4
    num_key_value_heads: int = 2
    head_size: int = 32
    feed_forward_size: int = 288


ON_GPU = Case(
    context_tokens=256,
    new_tokens=512,
    vocabulary=151_936,
    hidden_size=2048,
    num_layers=20,
    num_heads=16,
    num_key_value_heads=8,
    head_size=128,
    feed_forward_size=6144,
)
CASES = {
    "cuda": [replace(ON_GPU, rows=rows) for rows in (64, 128, 256)],
    "cpu": [
        *[Case(rows=rows) for rows in (16, 64, 256)],
        *[Case(rows=64, new_tokens=new_tokens) for new_tokens in (96, 256)],
        Case(rows=64, context_tokens=256),
        *[Case(rows=64, vocabulary=vocabulary) for vocabulary in (8_000, 32_000)],
    ],
}


def make_model(case: Case, device: str) -> Qwen3ForCausalLM:
    """Return a Qwen3 of random weights, in bf16 on a GPU."""
    torch.manual_seed(SEED)
    config = Qwen3Config(
        vocab_size=case.vocabulary,
        hidden_size=case.hidden_size,
        intermediate_size=case.feed_forward_size,
        num_hidden_layers=case.num_layers,
        num_attention_heads=case.num_heads,
        num_key_value_heads=case.num_key_value_heads,
        head_dim=case.head_size,
        max_position_embeddings=case.context_tokens + case.new_tokens + 8,
        tie_word_embeddings=True,
        eos_token_id=None,
        pad_token_id=PAD,
    )
    with torch.device(device):
        model = Qwen3ForCausalLM(config)
    nn.Module.to(model, torch.bfloat16 if device == "cuda" else torch.float32)
    model.eval()
    return model


def make_contexts(case: Case) -> list[list[int]]:
    """Return contexts whose lengths spread over an eighth; half a dozen first tokens are shared."""
    generator = torch.Generator().manual_seed(SEED)
    spread = max(1, case.context_tokens // 8)
    contexts = []
    for row in range(case.rows):
        length = case.context_tokens - spread + (row * spread) // max(1, case.rows - 1)
        drawn = torch.randint(6, case.vocabulary, (length - 6,), generator=generator)
        contexts.append([1, 2, 3, 4, 5, 1, *drawn.tolist()])
    return contexts


def sample(model: Qwen3ForCausalLM, case: Case, contexts: Sequence[Sequence[int]]) -> Written:
    """Return a call of this project's sampler."""
    settings = SamplingSettings(max_new_tokens=case.new_tokens)
    sampler = TransformersSampler(model, NEVER, PAD, settings)
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.rand(case.rows, case.new_tokens, generator=generator)
    return lambda: [turn.ids for turn in sampler.sample(contexts, noise)]


def not_recorded(run: Written) -> Written:
    """Return the same call without the recorded graph of a step."""

    def other(model: PreTrainedModel) -> Pace:
        return replace(pace_of(model), is_recorded=False)

    def timed() -> Sequence[Sequence[int]]:
        with mock.patch.object(ours, "pace_of", other):
            return run()

    return timed


def generate(
    model: Qwen3ForCausalLM, case: Case, contexts: Sequence[Sequence[int]], **more: object
) -> Written:
    """Return a call of transformers' own loop."""
    width = max(map(len, contexts))
    ids = torch.full((case.rows, width), PAD)
    mask = torch.zeros_like(ids)
    for row, context in enumerate(contexts):
        ids[row, width - len(context) :] = torch.tensor(context)
        mask[row, width - len(context) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    settings = _generation(case, **more)

    def run() -> list[list[int]]:
        written = model.generate(  # type: ignore[misc] # transformers types its mixins so
            ids, attention_mask=mask, generation_config=settings
        )
        assert isinstance(written, Tensor)
        rows: list[list[int]] = written[:, width:].tolist()
        return rows

    return run


def batch_continuously(
    model: Qwen3ForCausalLM, case: Case, contexts: Sequence[Sequence[int]]
) -> Written:
    """Return a call of transformers' continuous batching."""
    settings, inputs = _generation(case), [list(context) for context in contexts]

    def run() -> list[list[int]]:
        outputs = model.generate_batch(inputs=inputs, generation_config=settings)
        return [output.generated_tokens for output in outputs.values()]

    return run


def _generation(case: Case, **more: object) -> GenerationConfig:
    return GenerationConfig(
        do_sample=True,
        top_k=0,
        top_p=1.0,
        temperature=1.0,
        max_new_tokens=case.new_tokens,
        eos_token_id=None,
        pad_token_id=PAD,
        **more,
    )


def calls_of(model: Qwen3ForCausalLM, case: Case) -> dict[str, Written]:
    """Return what takes turns, by name."""
    contexts = make_contexts(case)
    run = sample(model, case, contexts)
    calls = {"ours": run, "generate": generate(model, case, contexts)}
    if model.device.type == "cpu":
        return calls
    return {
        **calls,
        "ours, not recorded": not_recorded(run),
        "generate, static cache": generate(model, case, contexts, cache_implementation="static"),
        "continuous batching": batch_continuously(model, case, contexts),
    }


def seconds_of(call: Written, case: Case, device: str) -> float:
    """Return how long a call takes that writes what it should."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    started = clock()
    written = call()
    if device == "cuda":
        torch.cuda.synchronize()
    taken = clock() - started
    lengths = {len(ids) for ids in written}
    if len(written) != case.rows or lengths != {case.new_tokens}:
        raise RuntimeError(f"{len(written)} rows of {lengths} tokens were written, not {case}")
    return taken


def measure(case: Case, rounds: int, device: str) -> Row:
    """Return a line of the table."""
    model = make_model(case, device)
    calls = calls_of(model, case)
    for call in calls.values():
        seconds_of(call, case, device)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(seconds_of(call, case, device))
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    return {
        **asdict(case),
        "parameters_millions": round(sum(p.numel() for p in model.parameters()) / 1e6, 2),
        "seconds": {name: [round(one, 4) for one in taken] for name, taken in seconds.items()},
        "new_tokens_a_second": {
            name: round(case.rows * case.new_tokens / one) for name, one in middle.items()
        },
        "faster_than": {
            name: round(one / middle["ours"], 3) for name, one in middle.items() if name != "ours"
        },
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=tuple(CASES), default="cpu")
    given = parser.parse_args()
    circumstances, on_gpu = facts(given.device), given.device == "cuda"
    torch.set_num_threads(1)
    figures = {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu, one thread",
        "precision": "bfloat16" if on_gpu else "float32",
        "clock": "wall" if on_gpu else "processor",
        "torch": torch.__version__,
        "seed": SEED,
        "cases": [measure(case, given.rounds, given.device) for case in CASES[given.device]],
    }
    write(given.out, figures, circumstances)


if __name__ == "__main__":
    main()
