"""The hardware of a stage and its speed: the chosen flavor's GPUs, or this machine."""

import time
from dataclasses import dataclass

import torch

from tasks.estimate.traffic import UTILIZATION
from tasks.platform.gpus import GPUS
from tasks.platform.resources import Stage, chosen_flavor


@dataclass(frozen=True)
class Machine:
    """The hardware of a run and its speed."""

    name: str
    gpus: int
    gpu: str
    """Accelerator label of the GPUs; "" without."""
    operations_per_second: float
    """Operations per second of the whole machine, estimated or measured."""
    known_by: str
    """Origin of the figure."""


def machine(stage: Stage) -> Machine:
    """Return the hardware of a stage: the chosen flavor's GPUs, else this machine."""
    flavor = chosen_flavor()
    gpus = flavor.stages[stage].num_ranks if flavor and flavor.gpu else 0
    if flavor and gpus and (gpu := GPUS.get(flavor.gpu)):
        speed = gpus * gpu.operations_per_second * UTILIZATION
        known_by = f"{UTILIZATION:.0%} of the data sheet"
        return Machine(f"{gpus} x {flavor.gpu}", gpus, flavor.gpu, speed, known_by)
    return this_cpu()


def this_cpu() -> Machine:
    """Return this machine's CPU, with its measured speed."""
    known_by = f"{UTILIZATION:.0%} of a product of matrices, measured"
    return Machine("this machine's CPU", 0, "", UTILIZATION * _measured_speed(), known_by)


def _measured_speed(size: int = 256, repeats: int = 8) -> float:
    """Return operations per second of fp32 matrix products about as wide as a small model."""
    matrix = torch.ones(size, size)
    matrix @ matrix
    best = float("inf")
    for _ in range(repeats):  # the best: others may have had the core meanwhile
        started = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best
