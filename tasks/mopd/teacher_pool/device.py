"""The weights of one teacher on the device while it scores, and the copy of the next one's.

There are two ways. If the stored weights can be used directly, the module's parameters become views
of them (``ViewSlot``). If they must be copied to a device, there are two buffers, for one body and
one output head (``CopySlot``). A body is overwritten by the next teacher's as soon as it has scored
its last microbatch; the student still learns from that teacher then, which needs only the head. So
the device never holds two bodies, and the copy is off the critical path.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

import torch
from torch import Tensor

from tasks.mopd.teacher_pool.weights import (
    ModuleTemplate,
    PooledTeacher,
    Weights,
    WeightSource,
    num_bytes,
)


@dataclass
class PoolCounts:
    """Counters since they were last read."""

    loads: int = 0
    """Number of times that a teacher's weights were loaded in the place of others."""
    prefetch_hits: int = 0
    """Number of loads that a prefetch had finished when they were needed."""
    bytes_read: int = 0
    """Bytes of the loaded weights; the page cache may have held them already."""
    seconds_waited: float = 0.0
    """Seconds spent waiting for weights. On the CPU, where files are mapped, this excludes reading
    their pages, which happens in the first forward pass."""

    def take(self) -> dict[str, float]:
        """Return the counts by metric name, and start again from zero."""
        counts = {f"pool/{name}": float(value) for name, value in vars(self).items()}
        vars(self).update(vars(PoolCounts()))
        return counts


Mark = torch.cuda.Event | None
"""A point in a device's queue of work; None if work is done when its call returns."""

_STAGING_BYTES = 32 << 20


class CopyStream(Protocol):
    """Copies tensors to a device while it computes."""

    def mark(self) -> Mark:
        """Return the point after all work that is queued on the device."""

    def keep_alive(self, tensors: Iterable[Tensor]) -> None:
        """Keep the target tensors' memory from being reused too soon."""

    def copy(self, pairs: Sequence[tuple[Tensor, Tensor]], free: Mark) -> Mark:
        """Copy each (target, source) after the mark; return the mark after the copies."""

    def wait(self, done: Mark) -> None:
        """Make later computation wait for a mark."""


class CudaCopyStream:
    """A side stream. Tensors outside pinned memory go through two small pinned buffers."""

    def __init__(self, device: torch.device) -> None:
        """Make the stream and the buffers."""
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._buffers = [
            torch.empty(_STAGING_BYTES, dtype=torch.uint8, pin_memory=True) for _ in range(2)
        ]
        self._sent = [torch.cuda.Event() for _ in self._buffers]
        self._turn = 0

    def mark(self) -> Mark:
        """Return the point after all work of the current stream."""
        mark: Mark = torch.cuda.current_stream(self._device).record_event()
        return mark

    def keep_alive(self, tensors: Iterable[Tensor]) -> None:
        """Keep the tensors' memory until the side stream has passed this point."""
        for tensor in tensors:
            tensor.record_stream(self._stream)

    def copy(self, pairs: Sequence[tuple[Tensor, Tensor]], free: Mark) -> Mark:
        """Copy each (target, source) on the side stream, after the mark."""
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            if free is not None:
                self._stream.wait_event(free)
            for target, source in pairs:
                if source.is_pinned():
                    target.copy_(source, non_blocking=True)
                else:
                    self._send_in_pieces(target, source)
            done: Mark = self._stream.record_event()
        return done

    def wait(self, done: Mark) -> None:
        """Let the current stream wait for a mark."""
        if done is not None:
            torch.cuda.current_stream(self._device).wait_event(done)

    def _send_in_pieces(self, target: Tensor, source: Tensor) -> None:
        """Fill one buffer while the other is being sent."""
        for to, piece in zip(_pieces(target), _pieces(source), strict=True):
            self._turn = 1 - self._turn
            self._sent[self._turn].synchronize()
            buffer = self._buffers[self._turn][: len(piece)]
            buffer.copy_(piece)
            to.copy_(buffer, non_blocking=True)
            self._sent[self._turn].record(self._stream)


def _pieces(tensor: Tensor) -> Iterator[Tensor]:
    """Yield a contiguous tensor's bytes in pieces that fit into a staging buffer."""
    yield from tensor.reshape(-1).view(torch.uint8).split(_STAGING_BYTES)


class DeviceSlot(Protocol):
    """Holds the weights of the teacher that is scoring."""

    def load(self, teacher: PooledTeacher) -> None:
        """Make all weights of a teacher ready for use."""

    def load_head(self, teacher: PooledTeacher) -> None:
        """Make at least a teacher's output head ready for use."""

    def prefetch(self, teacher: PooledTeacher) -> None:
        """Start fetching the next teacher's weights while another teacher scores."""

    def release_body(self, following: PooledTeacher) -> None:
        """Release the body that scored last; the following teacher's body is needed next."""


class ViewSlot:
    """Uses the weights in place: in memory, or in mapped files."""

    def __init__(self, weight_source: WeightSource, counts: PoolCounts) -> None:
        """Take the source of weights; load no teacher yet."""
        self._weight_source, self._counts = weight_source, counts
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
        self._now: PooledTeacher | None = None
        self._ahead: tuple[str, Future[None]] | None = None

    def load(self, teacher: PooledTeacher) -> None:
        """Replace the last teacher's weights, which are freed first: memory holds one set."""
        if self._now is not None and self._now.digest == teacher.digest:
            return
        started = perf_counter()
        if self._now is not None:
            self._now.template.clear_weights()
            self._now = None
        weights = self._weight_source.weights(teacher)
        teacher.template.set_weights(weights)
        self._now = teacher
        if not self._weight_source.in_memory:
            digest, advice = self._ahead or ("", None)
            self._counts.loads += 1
            self._counts.prefetch_hits += digest == teacher.digest and bool(
                advice and advice.done()
            )
            self._counts.bytes_read += num_bytes(weights)
            self._counts.seconds_waited += perf_counter() - started

    def load_head(self, teacher: PooledTeacher) -> None:
        """Load the teacher; only the touched pages of a mapped file are read."""
        self.load(teacher)

    def prefetch(self, teacher: PooledTeacher) -> None:
        """Read the teacher's files ahead."""
        if self._weight_source.in_memory or (self._ahead and self._ahead[0] == teacher.digest):
            return
        self._ahead = teacher.digest, self._reader.submit(self._weight_source.read_ahead, teacher)

    def release_body(self, following: PooledTeacher) -> None:
        """Do nothing: no buffer can be overwritten."""


@dataclass
class _Buffer:
    """Device memory for a body or a head, and the teacher that occupies it."""

    digest: str = ""
    template: ModuleTemplate | None = None
    names: frozenset[str] = frozenset()
    weights: Weights = field(default_factory=dict)
    arriving: Future[Mark] | None = None


class CopySlot:
    """Copies one body and one head at a time to a device, while it computes."""

    def __init__(
        self,
        weight_source: WeightSource,
        device: torch.device,
        stream: CopyStream,
        counts: PoolCounts,
    ) -> None:
        """Take the source of weights and the stream for copies."""
        self._weight_source, self._device, self._copy_stream, self._counts = (
            weight_source,
            device,
            stream,
            counts,
        )
        self._copy_thread = ThreadPoolExecutor(1, thread_name_prefix="teacher copies")
        self._body, self._head = _Buffer(), _Buffer()
        self._announced = ""

    def load(self, teacher: PooledTeacher) -> None:
        """Load body and head; the head is copied while the body computes."""
        self._start_copy(self._body, teacher, teacher.template.body_names)
        self._finish_copy(self._body)
        self._start_copy(self._head, teacher, teacher.template.head_names)

    def load_head(self, teacher: PooledTeacher) -> None:
        """Load the output head alone."""
        self._start_copy(self._head, teacher, teacher.template.head_names)
        self._finish_copy(self._head)

    def prefetch(self, teacher: PooledTeacher) -> None:
        """Read the teacher's files ahead, on the thread that copies."""
        if self._announced != teacher.digest:
            self._announced = teacher.digest
            self._copy_thread.submit(self._weight_source.read_ahead, teacher)

    def release_body(self, following: PooledTeacher) -> None:
        """Start overwriting the body with the following teacher's."""
        self._start_copy(self._body, following, following.template.body_names, ahead=True)

    def _start_copy(
        self, buffer: _Buffer, teacher: PooledTeacher, names: frozenset[str], *, ahead: bool = False
    ) -> None:
        """Start copying a teacher's weights into a buffer, after the work that still uses it."""
        if buffer.digest == teacher.digest:
            return
        if buffer.arriving is not None:  # a copy that was not waited for
            self._finish_copy(buffer)
        if buffer.template is not teacher.template:
            self._allocate(buffer, teacher.template, names)
        buffer.digest = teacher.digest
        free = self._copy_stream.mark()
        buffer.arriving = self._copy_thread.submit(self._copy, buffer.weights, teacher, free)
        self._counts.loads += buffer is self._body
        self._counts.prefetch_hits += ahead
        self._counts.bytes_read += num_bytes(buffer.weights)

    def _allocate(self, buffer: _Buffer, template: ModuleTemplate, names: frozenset[str]) -> None:
        """Free the memory of another architecture, then allocate for this one."""
        if buffer.template is not None:
            buffer.template.clear_weights(buffer.names)
        buffer.weights = {}
        buffer.template, buffer.names = template, names
        buffer.weights = template.empty_weights(names, self._device)
        self._copy_stream.keep_alive(buffer.weights.values())
        template.set_weights(buffer.weights)

    def _copy(self, target: Weights, teacher: PooledTeacher, free: Mark) -> Mark:
        weights = self._weight_source.weights(teacher)
        return self._copy_stream.copy([(target[name], weights[name]) for name in target], free)

    def _finish_copy(self, buffer: _Buffer) -> None:
        """Make later computation wait for the buffer's weights."""
        if buffer.arriving is not None:
            started = perf_counter()
            self._copy_stream.wait(buffer.arriving.result())
            buffer.arriving = None
            self._counts.seconds_waited += perf_counter() - started
