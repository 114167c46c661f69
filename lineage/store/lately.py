"""Recent answers, kept briefly so that the same lookup is not repeated at once."""

import time
from collections.abc import Callable


def _uptime() -> float:
    """Return seconds that no set clock moves and that go on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lately:
    """Names that were added within the last so many seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = _uptime) -> None:
        """Forget each name ``seconds`` after it was added."""
        self._seconds = seconds
        self._clock = clock
        self._added: dict[str, float] = {}

    def add(self, name: str) -> None:
        """Remember ``name`` from now on."""
        self._added[name] = self._clock()

    def discard(self, name: str) -> None:
        """Forget ``name``."""
        self._added.pop(name, None)

    def __contains__(self, name: str) -> bool:
        """Say whether ``name`` was added lately."""
        added = self._added.get(name)
        return added is not None and self._clock() - added < self._seconds
