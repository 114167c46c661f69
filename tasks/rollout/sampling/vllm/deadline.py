"""HTTP answers that are complete by a moment of ``time.monotonic``, or end in TimeoutError.

A socket's own timeout begins anew with every byte, so a server that sends one now and then would be
waited for without end.
"""

import io
import time
from http.client import HTTPResponse
from socket import socket
from typing import Any


def seconds_left(until: float) -> float:
    """Return the seconds until then, and at least a millisecond: 0 would mean no limit."""
    return max(until - time.monotonic(), 0.001)


class BoundedResponse(HTTPResponse):
    """A response whose head and body must arrive in time."""

    def __init__(
        self, until: float, connected: socket, debuglevel: int = 0, method: str | None = None
    ) -> None:
        """Read from a connection; the arguments after ``until`` are those of ``http.client``."""
        super().__init__(connected, debuglevel, method)
        stream = self.fp.detach()
        self.fp = io.BufferedReader(_BoundedStream(until, connected, stream))


class _BoundedStream(io.RawIOBase):
    """What a connection receives, each part read with the time that is left for all."""

    def __init__(self, until: float, connected: socket, stream: io.RawIOBase) -> None:
        self._until, self._connected, self._stream = until, connected, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - 3.11 names no buffer
        if time.monotonic() > self._until:
            raise TimeoutError("the answer was not complete in time")
        self._connected.settimeout(seconds_left(self._until))
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()
