"""Who hears how far a large blob has come into the store or out of it."""

from collections.abc import Callable
from threading import Lock

Tell = Callable[[str, int, int], None]
"""Takes the blob's name (its digest, or the file that it comes from), bytes done, bytes in all."""


def silent(_blob: str, _done: int, _size: int) -> None:
    """Discard the message."""


class Meter:
    """Adds up what several threads have moved of one blob."""

    def __init__(self, blob: str, size: int, tell: Tell) -> None:
        """Tell of ``blob``, of so many bytes."""
        self._blob, self._size, self._tell = blob, size, tell
        self._done, self._lock = 0, Lock()

    def add(self, count: int) -> None:
        """Count bytes, and tell."""
        with self._lock:
            self._done += count
            self._tell(self._blob, self._done, self._size)
