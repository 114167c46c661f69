"""What a rank receives from the others in a step, and the time that a step takes on GPUs.

FSDP gathers the body's weights once forward and once backward for each source, in the compute
precision, and sums gradients in fp32. The head is gathered once for each microbatch. Of R ranks
each one receives (R - 1) / R of what is gathered or summed. Sampling gathers the whole student
once. The ledger's look at a rollout gathers the body layer by layer, and the head. Where servers
sample, all weights are put together once a step to be sent, merged with an adapter, and the student
reads some rollouts again through its shards.

A token costs 2 operations for each parameter forward, 4 backward, and 2 for what is computed again
(Kaplan et al. 2020, 2001.08361, section 2.1). Sampling reads all weights and the cache once for
each new token, which takes longer than the operations where few rows are sampled at once. What GPUs
a server has is not known: it counts as the fewest of the trainer's kind that hold the student. To
write the weights for the servers, and to load them there, is not counted.
"""

import math
from dataclasses import dataclass

from tasks.estimate.ledger_phases import FP32
from tasks.estimate.work import RankWork
from tasks.platform.gpus import Gpu

UTILIZATION = 0.3
"""Share of peak speed that is reached. Ours: it gives 70 s for the demo's 120 steps on one thread,
which take 60 to 70 s. For GPUs it is a guess."""
_OF_WEIGHTS = 0.8
"""Share of a server's GPU that weights may take. Ours: vLLM takes 0.9 of it with its cache."""


@dataclass(frozen=True)
class Traffic:
    """Bytes that one rank receives in a step."""

    weights: int
    """Weights gathered for forward and backward passes."""
    gradients: int
    """Gradients summed over ranks."""
    teachers: int
    """Weights of teachers that ranks share."""
    students: int
    """The student, gathered whole to sample and layer by layer for the ledger."""
    servers: int
    """The student for the vLLM servers, put together part by part."""
    segments: int
    """Parts of a segment and weights, at the mean of the steps between two segments."""

    @property
    def total(self) -> int:
        """All of it."""
        return sum(vars(self).values())


def traffic(work: RankWork) -> Traffic:
    """Return what a rank receives in a step; nothing without others."""
    shape, size, sources = work.student, work.compute_bytes, 1 + work.extra_sources
    head = shape.vocabulary * shape.hidden
    trains_all = work.load.loop.adapter is None
    summed = shape.body + head if trains_all else work.trained
    others = 1 - 1 / work.num_ranks
    written = work.num_sources + 5 if work.load.ledger.displacements else 2
    return Traffic(
        weights=round(others * work.passes * size * (shape.body * (1 + sources) + head)),
        gradients=round(others * work.passes * FP32 * summed * sources),
        teachers=round(others * _of_shared_teachers(work)),
        # Once to sample here, or to compare a server's log-probabilities; the rest for the ledger.
        students=round(others * size * (shape.body * (1 + work.probed_here) + 2 * head)),
        servers=round(others * size * (shape.body + head)) if work.load.servers else 0,
        segments=round(others * FP32 * work.trained * written / work.load.ledger.segment_steps),
    )


def _of_shared_teachers(work: RankWork) -> float:
    """Return the bytes of the bodies that are gathered in a step, once for each microbatch."""
    if not work.shares_teachers:
        return 0
    each = work.passes / len(work.teachers)
    return each * sum(teacher.saved_bytes * teacher.body for teacher in work.teachers)


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step."""

    sampling: float
    learning: float
    """Forward and backward passes of student and teachers."""
    network: float
    """Receiving from other ranks, as if nothing were computed meanwhile."""

    @property
    def total(self) -> float:
        """All of it, one after the other."""
        return self.sampling + self.learning + self.network

    @property
    def shares(self) -> str:
        """Each part's share of a step, in words."""
        return ", ".join(f"{name} {part / self.total:.0%}" for name, part in vars(self).items())


def operations_of_learning(work: RankWork, tokens: float) -> float:
    """Return the operations for ``tokens`` of a step, evenly of all teachers."""
    again = 2 if work.load.loop.activation_checkpointing else 0
    sources = 1 + work.extra_sources
    teacher = sum(shape.active for shape in work.teachers) / len(work.teachers)
    return tokens * ((2 + again + 4 * sources) * work.student.active + 2 * teacher)


def gpus_of_server(work: RankWork, gpu: Gpu) -> int:
    """Return the fewest GPUs of a kind that hold the student and leave room for its cache."""
    return math.ceil(work.compute_bytes * work.student.total / (_OF_WEIGHTS * gpu.memory))


def step_time(work: RankWork, gpu: Gpu) -> StepTime:
    """Return the seconds of a step on GPUs, with every response at its maximum length."""
    crosses = work.num_ranks > work.ranks_per_node
    rate = gpu.network_bytes_per_second if crosses else gpu.node_bytes_per_second
    speed = UTILIZATION * gpu.operations_per_second
    return StepTime(
        sampling=_sampling(work, gpu),
        learning=_learning(work, work.num_ranks * speed),
        network=traffic(work).total / rate,
    )


def step_time_on_cpu(work: RankWork, operations_per_second: float) -> StepTime:
    """Return the seconds of a step on a CPU; a server is as fast as the trainer's machine."""
    rollouts = work.rollouts_of_sampler * (1 if work.load.servers else work.num_ranks)
    return StepTime(
        sampling=2.0 * work.student.active * rollouts * work.row / operations_per_second,
        learning=_learning(work, operations_per_second),
        network=0.0,
    )


def _learning(work: RankWork, operations_per_second: float) -> float:
    tokens = work.load.rollouts_per_step * work.domains * work.row
    return operations_of_learning(work, tokens) / operations_per_second


def _sampling(work: RankWork, gpu: Gpu) -> float:
    """Return the seconds in which a rank, or a server, samples its rollouts."""
    gpus, rows = (gpus_of_server(work, gpu) if work.load.servers else 1), work.rollouts_of_sampler
    speed = gpus * UTILIZATION * gpu.operations_per_second
    drawn = 2.0 * work.student.active * rows * work.row / speed
    cache = 2 * work.student.num_layers * work.student.key_value * work.row * rows
    read = work.compute_bytes * (work.student.total + cache / 2)
    written = work.load.max_new_tokens * read / (gpus * gpu.memory_bytes_per_second)
    return max(drawn, written)
