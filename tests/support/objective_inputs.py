"""Logits to try objectives on, plain losses to compare them with, and a count of their memory."""

import torch
from torch.profiler import ProfilerActivity, profile


def random_logits(seed, num_tokens=8, vocabulary=5, dtype=torch.float32):
    """Return logits [tokens, vocabulary] of a wide spread."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(num_tokens, vocabulary, generator=generator, dtype=torch.float64).to(dtype) * 3
    )


def leaf(probabilities):
    """Return logits of these probabilities that collect a gradient."""
    return torch.as_tensor(probabilities).log().requires_grad_()


def plain_reverse(student, teacher):
    """Return the reverse KL of each token as autograd alone would have it."""
    log_p, log_q = student.log_softmax(-1), teacher.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def plain_forward(student, teacher):
    """Return the forward KL of each token as autograd alone would have it."""
    return plain_reverse(teacher, student)


def gradient(objective, student, *rest):
    """Return the gradient of the sum of an objective's tokens at the student's logits."""
    student = student.detach().clone().requires_grad_()
    return torch.autograd.grad(objective(student, *rest).sum(), student)[0]


def peak_bytes(work):
    """Return how many bytes ``work`` holds at its peak beyond those of its start, on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        work()
    torch.set_num_threads(threads)
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak
