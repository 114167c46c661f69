"""The teacher pool: any number of frozen teachers, scored by name in the memory of one.

Shapes: N chosen tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from tasks.model.log_probs import TokenBatch, chosen_hidden, head_logits
from tasks.mopd.settings import TeacherPlacement
from tasks.mopd.teacher_pool.adapters import AdapterSwitch
from tasks.mopd.teacher_pool.checkpoint import TeacherSource
from tasks.mopd.teacher_pool.device import (
    CopySlot,
    CudaCopyStream,
    DeviceSlot,
    PoolCounts,
    ViewSlot,
)
from tasks.mopd.teacher_pool.opening import Opener, teacher_named
from tasks.mopd.teacher_pool.weights import (
    FileWeights,
    MemoryWeights,
    ModuleTemplate,
    PooledTeacher,
    WeightSource,
)


@dataclass(frozen=True)
class PoolSettings:
    """Properties of the student and of the machine that a pool needs."""

    vocabulary_size: int
    """Size of the student's vocabulary; a teacher's must be equal."""
    temperature: float
    """Temperature of sampling; logits are divided by it."""
    device: torch.device
    """Device of the student."""
    placement: TeacherPlacement


@dataclass(frozen=True)
class PoolMemory:
    """Upper bounds in bytes on the teachers' weights in memory, for any number of them."""

    device: int
    """Bytes on the device; on the CPU, the memory of the process."""
    pinned: int
    """Bytes in pinned host memory, for a CUDA device."""
    mapped: int
    """Bytes of files that are mapped at one time; the kernel can reclaim these pages."""


class TeacherPool:
    """Teachers by name; each is fetched ahead in the announced order."""

    def __init__(
        self,
        teachers: Mapping[str, PooledTeacher],
        slot: DeviceSlot,
        settings: PoolSettings,
        counts: PoolCounts,
        memory: PoolMemory,
    ) -> None:
        """Take opened teachers and the slot that they share; ``open_teachers`` makes both."""
        self._teachers, self._slot = dict(teachers), slot
        self._device, self._temperature = settings.device, settings.temperature
        self.counts, self.memory = counts, memory
        self._expected: deque[str] = deque()
        self._adapters = AdapterSwitch(settings.device)

    @property
    def names(self) -> list[str]:
        """The teachers in the pool, sorted."""
        return sorted(self._teachers)

    def hidden_bytes(self, teacher: str) -> int:
        """Return the bytes of one token's hidden state."""
        return teacher_named(self._teachers, teacher).template.hidden_bytes

    def expect(self, teachers: Sequence[str]) -> None:
        """Announce the coming calls of ``hidden``: one teacher for each call, in order.

        It does not affect results. After a call out of order, nothing is fetched ahead until the
        next announcement.
        """
        for teacher in set(teachers):
            teacher_named(self._teachers, teacher)
        self._expected = deque(teachers)

    @torch.no_grad()
    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the teacher's last hidden states [N, D] before the chosen tokens."""
        pooled = teacher_named(self._teachers, teacher)
        following, is_last = self._look_ahead(teacher)
        self._slot.load(pooled)
        self._adapters.apply(pooled.adapter, pooled.template.model)
        if following is not None:
            self._slot.prefetch(following)
        hidden_ND = chosen_hidden(pooled.template.model, tokens.to(self._device))
        if following is not None and is_last:
            self._slot.release_body(following)
        return hidden_ND

    @torch.no_grad()
    def logits(self, teacher: str, hidden_CD: Tensor) -> Tensor:
        """Return the teacher's logits [C, V] of some of its hidden states, in fp32.

        They are divided by the sampling temperature. Only the output head is needed.
        """
        pooled = teacher_named(self._teachers, teacher)
        self._slot.load_head(pooled)
        self._adapters.apply(pooled.adapter, pooled.template.model)
        return head_logits(pooled.template.model, hidden_CD, self._temperature)

    def _look_ahead(self, teacher: str) -> tuple[PooledTeacher | None, bool]:
        """Return the teacher that is needed next, and whether this is the last call of this one."""
        if not self._expected or self._expected.popleft() != teacher:
            self._expected.clear()
        digest = self._teachers[teacher].digest
        coming = [self._teachers[name] for name in self._expected]
        others = [other for other in coming if other.digest != digest]
        return (others[0], coming[0] is others[0]) if others else (None, False)


def open_teachers(sources: Sequence[TeacherSource], settings: PoolSettings) -> TeacherPool:
    """Return a pool of the teachers, all checked; equal checkpoints are opened once.

    Raises:
        ValueError: as ``Opener.open_all``.
    """
    opener = Opener(ModuleTemplate, settings.device, settings.vocabulary_size)
    teachers = opener.open_all(sources)
    counts = PoolCounts()
    distinct = list({id(teacher): teacher for teacher in teachers.values()}.values())
    slot = _slot(distinct, settings, counts)
    return TeacherPool(teachers, slot, settings, counts, _memory(distinct, settings))


def _slot(
    teachers: Sequence[PooledTeacher], settings: PoolSettings, counts: PoolCounts
) -> DeviceSlot:
    device, placement = settings.device, settings.placement
    if placement in (TeacherPlacement.DISK, TeacherPlacement.SHARDED):  # alone a shard is all
        weight_source: WeightSource = FileWeights()
    elif placement is TeacherPlacement.RESIDENT or device.type == "cpu":
        return ViewSlot(MemoryWeights(teachers, partial(_on, device=device)), counts)
    else:
        weight_source = MemoryWeights(teachers, Tensor.pin_memory)
    if device.type == "cpu":
        return ViewSlot(weight_source, counts)
    return CopySlot(weight_source, device, CudaCopyStream(device), counts)


def _on(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, copy=True)


def _memory(teachers: Sequence[PooledTeacher], settings: PoolSettings) -> PoolMemory:
    """Return the memory that the placement needs; tied heads count twice if heads have a buffer."""
    sizes = {t.digest: t.checkpoint.num_bytes for t in teachers}
    largest, total = max(sizes.values()), sum(sizes.values())
    load_head = max(teacher.template.head_bytes for teacher in teachers)
    on_cpu = settings.device.type == "cpu"
    match settings.placement:
        case TeacherPlacement.RESIDENT:
            return PoolMemory(device=total, pinned=0, mapped=0)
        case TeacherPlacement.HOST:
            return PoolMemory(total, 0, 0) if on_cpu else PoolMemory(largest + load_head, total, 0)
        case TeacherPlacement.DISK | TeacherPlacement.SHARDED:
            in_parts = any(not teacher.template.maps_files for teacher in teachers)
            copied = largest if in_parts else 0
            return PoolMemory(copied if on_cpu else largest + load_head, 0, largest)
