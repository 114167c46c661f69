"""Estimates the storage and time of a run's optimizer and ledger, before it starts.

Its memory is that of ``tasks.estimate``, which counts everything that a rank holds.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from tasks.contracts.refusal import RefusedError
from tasks.ledger.schema import LedgerSettings, StoredPrecision
from tasks.platform.progress import format_seconds

_FP32 = 4
_OF_SOURCE = {StoredPrecision.FP32: 3.5, StoredPrecision.BF16: 1.5}
"""Bytes for each number of a packed displacement, rounded up from 3.4 and 1.4."""
_OF_REST = {StoredPrecision.FP32: 0.5, StoredPrecision.BF16: 2.5}
"""Bytes for each weight of what beside sources and decay is stored."""
_GIB = 1 << 30
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class RunEstimate:
    """What updates and ledger take, beside memory."""

    storage: int
    """Bytes of all segments together: displacements, or the weights for a replay."""
    seconds: float
    """Seconds of all updates together, from the measured speed of memory."""
    backward_passes: int
    """Maximum backward passes over each microbatch: one, and one more per source beside the
    teacher."""

    def __str__(self) -> str:
        """Return the estimate in one line."""
        return (
            f"ledger: {self.storage / _GIB:.2f} GiB of storage; all updates: about "
            f"{format_seconds(self.seconds)}; {self.backward_passes} backward pass(es) over each "
            "microbatch"
        )


@dataclass(frozen=True)
class RunSize:
    """The sizes that the needs of a run follow from."""

    num_parameters: int
    """Number of trained parameters."""
    num_sources: int
    """Number of sources: teachers and others."""
    extra_sources: int
    """Sources that share a microbatch with a teacher: outcome, reference."""
    num_steps: int
    updates_per_step: int
    decays: bool = False
    """Whether weights decay, which is a part of its own."""


@dataclass(frozen=True)
class HeldNumbers:
    """Numbers that the optimizer and the ledger hold for each trained weight, beside the weight."""

    moments: int
    """The second moment, and a first one for each source."""
    gradients: int
    """A gradient for each source."""
    displacements: int
    """A displacement for each source and for decay, and the weight at the segment's start."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.moments + self.gradients + self.displacements


def held_numbers(num_sources: int, *, displacements: bool) -> HeldNumbers:
    """Return what is held all the time; what an update needs meanwhile is a block's."""
    return HeldNumbers(
        moments=1 + num_sources,
        gradients=num_sources,
        displacements=num_sources + 2 if displacements else 0,
    )


def estimate(size: RunSize, settings: LedgerSettings, bytes_per_second: float) -> RunEstimate:
    """Return what a run takes at a given speed of memory (``memory_speed``)."""
    kept, sources = settings.displacements, size.num_sources
    # Reads and writes of one update, counted from Block.update: 16 passes over the parameters
    # that sources share and 11 (14 with displacements) for each source. Where blocks stay in
    # caches, as on a CPU, it takes less.
    passes = 16 + sources * (14 if kept else 11)
    updates = size.num_steps * size.updates_per_step
    return RunEstimate(
        storage=stored_bytes(size, settings),
        seconds=updates * passes * size.num_parameters * _FP32 / bytes_per_second,
        backward_passes=1 + size.extra_sources,
    )


def stored_bytes(size: RunSize, settings: LedgerSettings) -> int:
    """Return the bytes of all segments of a ledger."""
    segments = -(-size.num_steps // settings.segment_steps)
    own, rest = _OF_SOURCE[settings.precision], _OF_REST[settings.precision]
    whole = _FP32 if settings.precision is StoredPrecision.FP32 else 2
    parts = size.num_sources + size.decays
    # Without displacements the weights are stored, for a replay.
    stored = parts * own + rest if settings.displacements else whole
    return math.ceil(segments * stored * size.num_parameters)


def refuse_small_storage(needed: RunEstimate, free_storage: int | None) -> None:
    """Refuse a run that the store has no room for, before anything is spent.

    ``free_storage`` is None for a store without a known limit, such as S3.

    Raises:
        RefusedError: the ledger does not fit.
    """
    if free_storage is not None and needed.storage > free_storage:
        raise RefusedError(
            "disk-too-small",
            f"{needed}. Only {free_storage / _GIB:.2f} GiB of storage are free: raise "
            "ledger.segment_steps, set ledger.precision to bf16, or free some storage",
        )


def free_memory(device: torch.device) -> int:
    """Return the free bytes of a device; a container's own limit counts.

    What this process keeps of a GPU for later tensors is free.
    """
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    free = int(psutil.virtual_memory().available)
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if limit.exists() and limit.read_text().strip().isdigit():
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free


def memory_speed(device: torch.device) -> float:
    """Return the bytes per second that an update moves, measured in some tens of milliseconds."""
    numbers = torch.ones(1 << 22, device=device)
    other = torch.ones_like(numbers)
    numbers.add_(other)
    best = float("inf")
    for _ in range(3):
        _wait_for(device)
        started = time.perf_counter()
        for _ in range(4):
            numbers.add_(other)
        _wait_for(device)
        best = min(best, time.perf_counter() - started)
    return 4 * 3 * _FP32 * len(numbers) / best


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
