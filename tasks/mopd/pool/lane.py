"""How weights travel to a device beside what is computed there."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

Mark = torch.cuda.Event | None
"""A point in a device's queue of work; None where work is done when its call returns."""

_STAGING_BYTES = 32 << 20


class Lane(Protocol):
    """Copies tensors in an order that both sides can wait for."""

    def mark(self) -> Mark:
        """Return the point behind all that the caller has asked the device to compute."""

    def lend(self, tensors: Iterable[Tensor]) -> None:
        """Hear of tensors that will be copied into, so that their memory is not reused too soon."""

    def copy(self, pairs: Sequence[tuple[Tensor, Tensor]], free: Mark) -> Mark:
        """Copy each (target, source) behind the mark; return the mark behind the copies."""

    def wait(self, done: Mark) -> None:
        """Let what the caller computes next wait for a mark."""


class DirectLane:
    """For a device that has done its work when a call returns: the host itself."""

    def mark(self) -> Mark:
        """See Lane."""
        return None

    def lend(self, tensors: Iterable[Tensor]) -> None:
        """See Lane."""

    def copy(self, pairs: Sequence[tuple[Tensor, Tensor]], free: Mark) -> Mark:
        """See Lane."""
        for target, source in pairs:
            target.copy_(source)
        return free

    def wait(self, done: Mark) -> None:
        """See Lane."""


class CudaLane:
    """A side stream. What is not in pinned memory goes through two small pinned buffers."""

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
        """See Lane."""
        mark: Mark = torch.cuda.current_stream(self._device).record_event()
        return mark

    def lend(self, tensors: Iterable[Tensor]) -> None:
        """See Lane."""
        for tensor in tensors:
            tensor.record_stream(self._stream)

    def copy(self, pairs: Sequence[tuple[Tensor, Tensor]], free: Mark) -> Mark:
        """See Lane."""
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
        """See Lane."""
        if done is not None:
            torch.cuda.current_stream(self._device).wait_event(done)

    def _send_in_pieces(self, target: Tensor, source: Tensor) -> None:
        """Fill one buffer while the other is on its way."""
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
