"""Where one teacher stands while it is asked: its weights in its skeleton, the next one's coming.

Two ways to get there. Where the weights can be computed with as they lie on their shelf, the
skeleton's parameters become views of them. Where they must be copied to a device, there is room for
one body and one output head: a body is overwritten by the next teacher's as soon as it has been
asked for the last time, while the student is still learning from what it said, which takes its head
alone. So no second body ever stands on the device, and the copy is off the critical path.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

import torch

from tasks.mopd.pool.counts import PoolCounts
from tasks.mopd.pool.lane import Lane, Mark
from tasks.mopd.pool.shelf import Shelf, Teacher, num_bytes
from tasks.mopd.pool.skeleton import Skeleton, Weights


class Stage(Protocol):
    """Puts weights into skeletons."""

    def whole(self, teacher: Teacher) -> None:
        """Have all weights of a teacher ready for what is computed next."""

    def head(self, teacher: Teacher) -> None:
        """Have at least a teacher's output head ready for what is computed next."""

    def announce(self, teacher: Teacher) -> None:
        """Hear whose turn is next, while another is still being asked."""

    def free_body(self, following: Teacher) -> None:
        """Hear that the body that was asked last is not needed before this teacher's."""


class ViewStage:
    """Computes with the weights where they lie: in memory, or in mapped files."""

    def __init__(self, shelf: Shelf, counts: PoolCounts) -> None:
        """Take the shelf; nobody stands here yet."""
        self._shelf, self._counts = shelf, counts
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
        self._now: Teacher | None = None
        self._ahead: tuple[str, Future[None]] | None = None

    def whole(self, teacher: Teacher) -> None:
        """See Stage. The last teacher's weights are let go first: two never stand side by side."""
        if self._now is not None and self._now.digest == teacher.digest:
            return
        started = perf_counter()
        if self._now is not None:
            self._now.skeleton.take_out()
            self._now = None
        weights = self._shelf.weights(teacher)
        teacher.skeleton.put_in(weights)
        self._now = teacher
        if not self._shelf.in_memory:
            digest, advice = self._ahead or ("", None)
            self._counts.loads += 1
            self._counts.prefetch_hits += digest == teacher.digest and bool(
                advice and advice.done()
            )
            self._counts.bytes_read += num_bytes(weights)
            self._counts.seconds_waited += perf_counter() - started

    def head(self, teacher: Teacher) -> None:
        """See Stage. Only what is touched of a mapped file is read, so the rest costs nothing."""
        self.whole(teacher)

    def announce(self, teacher: Teacher) -> None:
        """See Stage."""
        if self._shelf.in_memory or (self._ahead and self._ahead[0] == teacher.digest):
            return
        self._ahead = teacher.digest, self._reader.submit(self._shelf.read_ahead, teacher)

    def free_body(self, following: Teacher) -> None:
        """See Stage; there is nothing to overwrite."""


@dataclass
class _Room:
    """Space on the device for a body or a head, and whose weights are in it or on their way."""

    digest: str = ""
    skeleton: Skeleton | None = None
    names: frozenset[str] = frozenset()
    weights: Weights = field(default_factory=dict)
    arriving: Future[Mark] | None = None


class CopyStage:
    """Copies one body and one head at a time to a device, beside what is computed there."""

    def __init__(self, shelf: Shelf, device: torch.device, lane: Lane, counts: PoolCounts) -> None:
        """Take the shelf and the lane that copies travel on."""
        self._shelf, self._device, self._lane, self._counts = shelf, device, lane, counts
        self._porter = ThreadPoolExecutor(1, thread_name_prefix="teacher copies")
        self._body, self._head = _Room(), _Room()
        self._announced = ""

    def whole(self, teacher: Teacher) -> None:
        """See Stage. The head's copy is only started: it travels while the body computes."""
        self._start(self._body, teacher, teacher.skeleton.body_names)
        self._arrive(self._body)
        self._start(self._head, teacher, teacher.skeleton.head_names)

    def head(self, teacher: Teacher) -> None:
        """See Stage."""
        self._start(self._head, teacher, teacher.skeleton.head_names)
        self._arrive(self._head)

    def announce(self, teacher: Teacher) -> None:
        """See Stage."""
        if self._announced != teacher.digest:
            self._announced = teacher.digest
            self._porter.submit(self._shelf.read_ahead, teacher)

    def free_body(self, following: Teacher) -> None:
        """See Stage."""
        self._start(self._body, following, following.skeleton.body_names, ahead=True)

    def _start(
        self, room: _Room, teacher: Teacher, names: frozenset[str], *, ahead: bool = False
    ) -> None:
        """Begin to copy a teacher's weights into a room, behind what still computes with it."""
        if room.digest == teacher.digest:
            return
        if room.arriving is not None:  # nobody has waited for it, and now nobody will
            self._arrive(room)
        if room.skeleton is not teacher.skeleton:
            self._furnish(room, teacher.skeleton, names)
        room.digest = teacher.digest
        free = self._lane.mark()
        room.arriving = self._porter.submit(self._copy, room.weights, teacher, free)
        self._counts.loads += room is self._body
        self._counts.prefetch_hits += ahead
        self._counts.bytes_read += num_bytes(room.weights)

    def _furnish(self, room: _Room, skeleton: Skeleton, names: frozenset[str]) -> None:
        """Give back the space of another architecture, then make space for this one."""
        if room.skeleton is not None:
            room.skeleton.take_out(room.names)
        room.weights = {}
        room.skeleton, room.names = skeleton, names
        room.weights = skeleton.room_for(names, self._device)
        self._lane.lend(room.weights.values())
        skeleton.put_in(room.weights)

    def _copy(self, target: Weights, teacher: Teacher, free: Mark) -> Mark:
        weights = self._shelf.weights(teacher)
        return self._lane.copy([(target[name], weights[name]) for name in target], free)

    def _arrive(self, room: _Room) -> None:
        """Make what is computed next wait for the room's weights."""
        if room.arriving is not None:
            started = perf_counter()
            self._lane.wait(room.arriving.result())
            room.arriving = None
            self._counts.seconds_waited += perf_counter() - started
