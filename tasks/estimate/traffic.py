"""What a rank receives from the others in a step, and the time that a step takes on GPUs.

FSDP gathers the body's weights once forward and once backward for each source, in the compute
precision, and sums gradients in fp32. The head is gathered once for each microbatch. Of R ranks
each one receives (R - 1) / R of what is gathered or summed. Sampling, and the ledger's look at one
rollout, gather the whole student once each.

A token costs 2 operations for each parameter forward, 4 backward, and 2 for what is computed again
(Kaplan et al. 2020, 2001.08361, section 2.1). Sampling reads all weights and the cache once for
each new token, which takes longer than the operations where few rows are sampled at once.
"""

from dataclasses import dataclass

from tasks.estimate.memory import FP32
from tasks.estimate.work import RankWork
from tasks.platform.gpus import Gpu

UTILIZATION = 0.3
"""Share of peak speed that is reached. Ours: it gives 70 s for the demo's 120 steps on one thread,
which take 60 to 70 s. For GPUs it is a guess."""


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
    """The whole student, gathered to sample and for the ledger."""
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
        students=round(others * size * (shape.body + head) * (1 + work.load.samples_here)),
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


def step_time(work: RankWork, gpu: Gpu) -> StepTime:
    """Return the seconds of a step on GPUs, with every response at its maximum length."""
    tokens = work.load.rollouts_per_step * work.domains * work.row
    speed = UTILIZATION * gpu.operations_per_second
    drawn = 2.0 * work.student.active * work.rollouts_here * work.row / speed
    cache = 2 * work.student.num_layers * work.student.key_value * work.row * work.rollouts_here
    read = work.compute_bytes * (work.student.total + cache / 2)
    written = work.load.max_new_tokens * read / gpu.memory_bytes_per_second
    crosses = work.num_ranks > work.ranks_per_node
    rate = gpu.network_bytes_per_second if crosses else gpu.node_bytes_per_second
    return StepTime(
        sampling=max(drawn, written) if work.load.samples_here else 0.0,
        learning=operations_of_learning(work, tokens) / work.num_ranks / speed,
        network=traffic(work).total / rate,
    )
