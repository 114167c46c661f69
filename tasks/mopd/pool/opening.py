"""Open a pool: every teacher is checked, whole, before the first rollout.

Digests, configs, headers and architectures are compared, and all weights are read once to find
numbers that are not finite. That is one pass at the speed of the disk over files that the first
step would read anyway, and then finds in the page cache; from there it takes 0.05 s a GB. Left to
the first use, a broken teacher would show only after a step's rollouts had been paid for.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from tasks.mopd.pool.adapter import Adapter
from tasks.mopd.pool.checkpoint import Checkpoint, refuse_non_finite
from tasks.mopd.pool.counts import PoolCounts
from tasks.mopd.pool.lane import CudaLane
from tasks.mopd.pool.pool import PoolMemory, PoolSettings, TeacherPool
from tasks.mopd.pool.shelf import FileShelf, KeptShelf, Shelf, Teacher
from tasks.mopd.pool.skeleton import Skeleton
from tasks.mopd.pool.source import TeacherSource, WeightSource, check_binding
from tasks.mopd.pool.stage import CopyStage, Stage, ViewStage
from tasks.mopd.settings import TeacherPlacement


def open_teachers(sources: Sequence[TeacherSource], settings: PoolSettings) -> TeacherPool:
    """Return a pool of the teachers, all checked; equal checkpoints are opened once.

    Raises:
        ValueError: naming the teacher, for names or digests that do not bind, another vocabulary
            size than the student's, missing or non-finite weights, a model that asks for code of
            its own, an adapter that does not fit its base.
    """
    check_binding(sources)
    opener = _Opener(settings)
    teachers = {}
    for source in sources:
        try:
            teachers[source.name] = opener.open(source)
        except ValueError as error:
            raise ValueError(f"teacher {source.name!r} cannot be used: {error}") from error
    counts = PoolCounts()
    distinct = list({id(teacher): teacher for teacher in teachers.values()}.values())
    stage = _stage(distinct, settings, counts)
    return TeacherPool(teachers, stage, settings, counts, _memory(distinct, settings))


class _Opener:
    """Opens each checkpoint, each architecture and each teacher once."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._checkpoints: dict[str, Checkpoint] = {}
        self._skeletons: dict[str, Skeleton] = {}
        self._teachers: dict[tuple[str, str], Teacher] = {}

    def open(self, source: TeacherSource) -> Teacher:
        key = source.weights.digest, source.digest
        if key not in self._teachers:
            self._teachers[key] = self._open(source)
        return self._teachers[key]

    def _open(self, source: TeacherSource) -> Teacher:
        checkpoint = self._checkpoint(source.weights)
        skeleton = self._skeletons.get(checkpoint.architecture)
        if skeleton is None:
            skeleton = Skeleton(checkpoint, self._settings.device)
            self._skeletons[checkpoint.architecture] = skeleton
        adapter = None
        if source.base is not None:
            adapter = Adapter(source.folder)
            adapter.check_fits(skeleton.model)
        return Teacher(source.weights.digest, checkpoint, skeleton, adapter)

    def _checkpoint(self, source: WeightSource) -> Checkpoint:
        if source.digest not in self._checkpoints:
            checkpoint = Checkpoint(source.folder)
            _check_vocabulary(checkpoint, self._settings.vocabulary_size)
            refuse_non_finite(checkpoint.tensors())
            self._checkpoints[source.digest] = checkpoint
        return self._checkpoints[source.digest]


def _check_vocabulary(checkpoint: Checkpoint, expected: int) -> None:
    inner = checkpoint.config.get("text_config")
    config = inner if isinstance(inner, dict) else checkpoint.config
    found = config.get("vocab_size")
    if found != expected:
        raise ValueError(
            f"its vocabulary has {found} entries and the student's {expected}, so their "
            "probabilities cannot be compared: use teachers of the student's own tokenizer"
        )


def _stage(teachers: Sequence[Teacher], settings: PoolSettings, counts: PoolCounts) -> Stage:
    device, placement = settings.device, settings.placement
    if placement is TeacherPlacement.DISK:
        shelf: Shelf = FileShelf()
    elif placement is TeacherPlacement.RESIDENT or device.type == "cpu":
        return ViewStage(KeptShelf(teachers, partial(_on, device=device)), counts)
    else:
        shelf = KeptShelf(teachers, Tensor.pin_memory)
    if device.type == "cpu":
        return ViewStage(shelf, counts)
    return CopyStage(shelf, device, CudaLane(device), counts)


def _on(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, copy=True)


def _memory(teachers: Sequence[Teacher], settings: PoolSettings) -> PoolMemory:
    """Return what the placement takes; tied heads count twice where a head has room of its own."""
    sizes = {t.digest: t.checkpoint.num_bytes for t in teachers}
    largest, total = max(sizes.values()), sum(sizes.values())
    head = max(teacher.skeleton.head_bytes for teacher in teachers)
    on_cpu = settings.device.type == "cpu"
    match settings.placement:
        case TeacherPlacement.RESIDENT:
            return PoolMemory(device=total, pinned=0, mapped=0)
        case TeacherPlacement.HOST:
            return PoolMemory(total, 0, 0) if on_cpu else PoolMemory(largest + head, total, 0)
        case TeacherPlacement.DISK:
            in_parts = any(not teacher.skeleton.maps_files for teacher in teachers)
            copied = largest if in_parts else 0
            return PoolMemory(copied if on_cpu else largest + head, 0, largest)
