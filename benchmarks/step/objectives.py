"""Each per-token objective, forward and backward, against the plain way to write it.

The plain way is a log-softmax of student and teacher and autograd for the rest. Both get the same
logits of a chunk, in fp32, and the rounds of both alternate. Memory is the peak beyond the two
logits given, counted by the allocator: in tensors of the chunk's size, [tokens, vocabulary]. Ours
report, besides, the exact divergence and the student's entropy of each token in every form; the
plain ones report nothing.

    python -m benchmarks.step.objectives --out benchmarks/results/objectives.json
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.common.circumstances import facts, write
from tasks.mopd.losses.teacher_term import Chunk, teacher_term
from tasks.mopd.settings import DistilSettings, Divergence, Support, TopK

SHAPES = ((8192, 1024), (256, 32_768), (256, 131_072))
"""Tokens and vocabulary; the first two have as many logits."""
ROUNDS, K, SEED = 3, 64, 0
CONTROL = list(range(8))


@dataclass(frozen=True)
class Form:
    """One objective, ours and plain: a chunk to the loss of each token."""

    ours: Callable[[Chunk], Tensor]
    plain: Callable[[Chunk], Tensor]


def both_log_probs(chunk: Chunk) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of student and teacher over the whole vocabulary."""
    return chunk.student_CV.log_softmax(-1), chunk.teacher_CV.log_softmax(-1)


def plain_reverse(chunk: Chunk) -> Tensor:
    """Return KL(student || teacher)."""
    log_p, log_q = both_log_probs(chunk)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def plain_forward(chunk: Chunk) -> Tensor:
    """Return KL(teacher || student)."""
    log_p, log_q = both_log_probs(chunk)
    return (log_q.exp() * (log_q - log_p)).sum(-1)


def plain_top_k(chunk: Chunk) -> Tensor:
    """Return the corrected reverse KL on the teacher's top k."""
    log_p, log_q = both_log_probs(chunk)
    ids = log_q.topk(K, -1).indices
    p, q = log_p.gather(-1, ids), log_q.gather(-1, ids)
    return (p.exp() * (p - q) - p.exp() + q.exp()).sum(-1)


def plain_sampled(chunk: Chunk) -> Tensor:
    """Return the policy gradient of the sampled token."""
    log_p, log_q = both_log_probs(chunk)
    ids = chunk.tokens_C[:, None]
    p, q = log_p.gather(-1, ids)[:, 0], log_q.gather(-1, ids)[:, 0]
    return -(q - p).detach().clamp(-5, 5) * p


def ours(settings: DistilSettings) -> Callable[[Chunk], Tensor]:
    """Return our loss under these settings, with all that it reports."""
    return lambda chunk: teacher_term(chunk, settings, CONTROL).loss_C


def forms() -> dict[str, Form]:
    """Return every objective by name."""
    top_k = {
        f"top_k_{support.value}": Form(
            ours(DistilSettings(divergence=Divergence.TOP_K, top_k=TopK(k=K, support=support))),
            plain_top_k,
        )
        for support in (Support.TEACHER, Support.UNION)
    }
    return {
        "full_vocabulary": Form(ours(DistilSettings()), plain_reverse),
        "forward": Form(ours(DistilSettings(divergence=Divergence.FORWARD)), plain_forward),
        **top_k,
        "sampled_token": Form(
            ours(DistilSettings(divergence=Divergence.SAMPLED_TOKEN)), plain_sampled
        ),
    }


def make_chunk(tokens: int, vocabulary: int, device: torch.device) -> Chunk:
    """Return random logits of a student that is near its teacher, and tokens sampled of it."""
    generator = torch.Generator().manual_seed(SEED)
    student = 3 * torch.randn(tokens, vocabulary, generator=generator)
    teacher = student + 0.5 * torch.randn(tokens, vocabulary, generator=generator)
    sampled = torch.randint(vocabulary, (tokens,), generator=generator)
    log_probs = student.log_softmax(-1).gather(-1, sampled[:, None])[:, 0]
    return Chunk(
        student.to(device).requires_grad_(),
        teacher.to(device),
        sampled.to(device),
        log_probs.to(device),
    )


def forward_and_backward(loss: Callable[[Chunk], Tensor], chunk: Chunk) -> None:
    """Compute the loss of each token and the gradient at the student's logits."""
    torch.autograd.grad(loss(chunk).sum(), chunk.student_CV)
    if chunk.student_CV.device.type == "cuda":
        torch.cuda.synchronize()


def seconds(loss: Callable[[Chunk], Tensor], chunk: Chunk) -> float:
    """Return how long forward and backward take."""
    start = time.perf_counter()
    forward_and_backward(loss, chunk)
    return time.perf_counter() - start


def peak(loss: Callable[[Chunk], Tensor], chunk: Chunk) -> float:
    """Return the peak memory beyond the logits, in tensors of their size."""
    size = chunk.student_CV.numel() * chunk.student_CV.element_size()
    if chunk.student_CV.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        forward_and_backward(loss, chunk)
        return (torch.cuda.max_memory_allocated() - before) / size
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        forward_and_backward(loss, chunk)
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most / size


def compare(form: Form, chunk: Chunk) -> dict[str, object]:
    """Return the memory and the times of a form, ours and plain, which take turns."""
    memory = peak(form.ours, chunk), peak(form.plain, chunk)
    taken = [(seconds(form.ours, chunk), seconds(form.plain, chunk)) for _ in range(ROUNDS)]
    ours_seconds, plain_seconds = zip(*taken, strict=True)
    return {
        "seconds": [round(x, 4) for x in ours_seconds],
        "plain_seconds": [round(x, 4) for x in plain_seconds],
        "speed_over_plain": round(
            statistics.median(plain_seconds) / statistics.median(ours_seconds), 2
        ),
        "peak_tensors": round(memory[0], 2),
        "plain_peak_tensors": round(memory[1], 2),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    given, circumstances = parser.parse_args(), facts()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    figures: dict[str, object] = {"rounds": ROUNDS, "k": K, "seed": SEED, "precision": "fp32"}
    for tokens, vocabulary in SHAPES:
        chunk = make_chunk(tokens, vocabulary, device)
        figures[f"{tokens} tokens, {vocabulary} words"] = {
            name: compare(form, chunk) for name, form in forms().items()
        }
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    machine = {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__}
    write(given.out, figures, {**circumstances, **machine})


if __name__ == "__main__":
    main()
