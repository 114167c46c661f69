"""The teacher pool: any number of frozen teachers, scored by name in the memory of one.

Shapes: N chosen tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.model.files import refuse_non_finite
from tasks.model.log_probs import TokenBatch, chosen_hidden, head_logits
from tasks.model.lora import LoraAdapter
from tasks.mopd.settings import TeacherPlacement
from tasks.mopd.teacher_pool.adapters import AdapterSwitch
from tasks.mopd.teacher_pool.checkpoint import (
    CheckpointFiles,
    CheckpointFolder,
    TeacherSource,
    check_binding,
)
from tasks.mopd.teacher_pool.device import (
    CopySlot,
    CudaCopyStream,
    DeviceSlot,
    PoolCounts,
    ViewSlot,
)
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
        return self._named(teacher).template.hidden_bytes

    def expect(self, teachers: Sequence[str]) -> None:
        """Announce the coming calls of ``hidden``: one teacher for each call, in order.

        It does not affect results. After a call out of order, nothing is fetched ahead until the
        next announcement.
        """
        for teacher in set(teachers):
            self._named(teacher)
        self._expected = deque(teachers)

    @torch.no_grad()
    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the teacher's last hidden states [N, D] before the chosen tokens."""
        pooled = self._named(teacher)
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
        pooled = self._named(teacher)
        self._slot.load_head(pooled)
        self._adapters.apply(pooled.adapter, pooled.template.model)
        return head_logits(pooled.template.model, hidden_CD, self._temperature)

    def _named(self, teacher: str) -> PooledTeacher:
        try:
            return self._teachers[teacher]
        except KeyError:
            raise KeyError(
                f"the pool has no teacher {teacher!r} (it has {self.names}), and does not replace "
                "it by another: correct the name"
            ) from None

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
        ValueError: naming the teacher, for ambiguous names, a wrong digest, another vocabulary size
            than the student's, missing or non-finite weights, a model that needs its own code, or
            an adapter that does not fit its base.
    """
    check_binding(sources)
    opener = _Opener(settings)
    teachers = {}
    for source in sources:
        with naming(source.name):
            teachers[source.name] = opener.open(source)
    counts = PoolCounts()
    distinct = list({id(teacher): teacher for teacher in teachers.values()}.values())
    slot = _slot(distinct, settings, counts)
    return TeacherPool(teachers, slot, settings, counts, _memory(distinct, settings))


@contextmanager
def naming(teacher: str) -> Iterator[None]:
    """Name the teacher in whatever refuses it within the context."""
    try:
        yield
    except ValueError as error:
        code = error.code if isinstance(error, RefusedError) else "unusable-model"
        message = f"teacher {teacher!r} cannot be used: {error}"
        raise RefusedError(code, message) from error


class _Opener:
    """Opens each checkpoint, each architecture and each teacher once."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._checkpoints: dict[str, CheckpointFiles] = {}
        self._templates: dict[str, ModuleTemplate] = {}
        self._teachers: dict[tuple[str, str], PooledTeacher] = {}

    def open(self, source: TeacherSource) -> PooledTeacher:
        key = source.weights.digest, source.digest
        if key not in self._teachers:
            self._teachers[key] = self._open(source)
        return self._teachers[key]

    def _open(self, source: TeacherSource) -> PooledTeacher:
        checkpoint = self._checkpoint(source.weights)
        template = self._templates.get(checkpoint.architecture)
        if template is None:
            template = ModuleTemplate(checkpoint, self._settings.device)
            self._templates[checkpoint.architecture] = template
        adapter = None
        if source.base is not None:
            adapter = LoraAdapter(source.folder)
            adapter.check_fits(template.model)
        return PooledTeacher(source.weights.digest, checkpoint, template, adapter)

    def _checkpoint(self, source: CheckpointFolder) -> CheckpointFiles:
        if source.digest not in self._checkpoints:
            checkpoint = CheckpointFiles(source.folder)
            check_vocabulary(checkpoint, self._settings.vocabulary_size)
            refuse_non_finite(checkpoint.tensors())
            self._checkpoints[source.digest] = checkpoint
        return self._checkpoints[source.digest]


def check_vocabulary(checkpoint: CheckpointFiles, expected: int) -> None:
    """Raise RefusedError for a teacher with another vocabulary size than the student's."""
    inner = checkpoint.config.get("text_config")
    config = inner if isinstance(inner, dict) else checkpoint.config
    entries = config.get("vocab_size")
    if entries != expected:
        raise RefusedError(
            "other-vocabulary",
            f"its vocabulary has {entries} entries and the student's {expected}, so their "
            "probabilities cannot be compared: use teachers with the student's tokenizer",
        )


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
