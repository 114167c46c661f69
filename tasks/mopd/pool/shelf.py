"""Where weights are while their teacher is not being asked: kept in memory, or in their files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from tasks.mopd.pool.adapter import Adapter
from tasks.mopd.pool.checkpoint import Checkpoint
from tasks.mopd.pool.skeleton import Skeleton, Weights


@dataclass(frozen=True)
class Teacher:
    """An opened teacher: which weights, in which module, with which adapter."""

    digest: str
    """Of the full weights; teachers with the same one share them."""
    checkpoint: Checkpoint
    skeleton: Skeleton
    adapter: Adapter | None = None


class Shelf(Protocol):
    """Gives a teacher's weights."""

    @property
    def in_memory(self) -> bool:
        """Whether the weights are held, so that nothing is read when they are asked for."""

    def weights(self, teacher: Teacher) -> Weights:
        """Return the weights; they are alive no longer than the shelf or the caller keeps them."""

    def read_ahead(self, teacher: Teacher) -> None:
        """Make the next ``weights`` of this teacher quicker."""


class FileShelf:
    """Weights stay in their files, which are mapped while they are used."""

    in_memory = False

    def weights(self, teacher: Teacher) -> Weights:
        """See Shelf."""
        return teacher.skeleton.read(teacher.checkpoint)

    def read_ahead(self, teacher: Teacher) -> None:
        """See Shelf."""
        teacher.checkpoint.read_ahead()


class KeptShelf:
    """Weights are held in memory, those of one digest once."""

    in_memory = True

    def __init__(self, teachers: Sequence[Teacher], place: Callable[[Tensor], Tensor]) -> None:
        """Copy every teacher's weights with ``place``: to the device, or into pinned memory."""
        self._kept: dict[str, Weights] = {}
        for teacher in teachers:
            if teacher.digest not in self._kept:
                weights = teacher.skeleton.read(teacher.checkpoint)
                self._kept[teacher.digest] = copied(weights, place)

    def weights(self, teacher: Teacher) -> Weights:
        """See Shelf."""
        return self._kept[teacher.digest]

    def read_ahead(self, teacher: Teacher) -> None:
        """See Shelf; they are here."""


def copied(weights: Weights, place: Callable[[Tensor], Tensor]) -> Weights:
    """Return copies of all tensors; what was one tensor under two names still is."""
    made: dict[int, Tensor] = {}
    for tensor in weights.values():
        if tensor.data_ptr() not in made:
            made[tensor.data_ptr()] = place(tensor)
    return {name: made[tensor.data_ptr()] for name, tensor in weights.items()}


def num_bytes(weights: Mapping[str, Tensor]) -> int:
    """Return the bytes of the tensors, tied ones once."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in weights.values()}.values())
