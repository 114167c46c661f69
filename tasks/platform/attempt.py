"""Retry and preemption handling for one task attempt: transient errors, SIGTERM, time limits.

Preemption sends SIGTERM with some seconds' notice; a time limit ends an attempt in the same way. A
resumable task finishes its optimizer step, saves a state and exits; any other exits at once. The
module uses only the standard library, so wrapping a task costs nothing.
"""

import contextlib
import errno
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from lineage.errors import CodedError, UnreachableError

_PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EIO,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.EPIPE,
        errno.EREMOTEIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""Transient errors of storage and network; a full disk or a missing file is not transient."""
_HURRY_SECONDS = 300.0
"""Grace period in seconds after the time limit, to finish the current step."""


class InterruptedAttemptError(RuntimeError):
    """The machine is wanted back: the next attempt goes on from what is in the store."""


class LostRankError(CodedError, RuntimeError):
    """Another process of the run ended, or did not answer in time."""


class TimeLimitError(RuntimeError):
    """The attempt ran past its time limit; another one would too."""


def may_pass(error: BaseException) -> bool:
    """Return whether another attempt may succeed where this one failed, with nothing changed.

    It may after faults of storage, network and the links between ranks, and after an interruption;
    it may not after bad input or a fault in code. What an error was raised from counts as well.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, (UnreachableError, InterruptedAttemptError, ConnectionError)):
            return True
        if isinstance(seen, TimeoutError) or (isinstance(seen, OSError) and seen.errno in _PASSING):
            return True
        if _is_of_the_ranks(seen):
            return True
        seen = seen.__cause__
    return False


def _is_of_the_ranks(error: BaseException) -> bool:
    """Return whether the link between ranks broke: one of them was taken away, or the network."""
    if isinstance(error, LostRankError):
        return True
    distributed = sys.modules.get("torch.distributed")  # only who loaded torch can have this error
    broken = getattr(distributed, "DistError", None)
    return broken is not None and isinstance(error, broken)


class Notice:
    """Request to this process to end its attempt, with the reason."""

    def __init__(self) -> None:
        """Start without a request."""
        self.begin()

    def begin(self) -> None:
        """Clear the request of the previous attempt."""
        self._error: Exception | None = None
        self._keeps_states = False

    @property
    def is_given(self) -> bool:
        """Whether the attempt should end."""
        return self._error is not None

    def keep_states(self) -> None:
        """Say that from now on the attempt looks here after each step, and puts a state away."""
        self._keeps_states = True

    def raise_given(self) -> None:
        """Raise InterruptedAttemptError or TimeLimitError if the attempt should end."""
        if self._error is not None:
            raise self._error

    def give(self, error: Exception) -> None:
        """Ask the attempt to end; who asks twice, or one that keeps no states, is not waited for.

        Raises:
            Exception: ``error``, where the attempt ends at once.
        """
        twice, self._error = self.is_given, error
        if twice or not self._keeps_states:
            raise error


NOTICE = Notice()
"""Notice for the current attempt; one per process, because signals are per process."""


@contextlib.contextmanager
def watched_attempt(name: str, limit_seconds: float | None) -> Iterator[Notice]:
    """Turn SIGTERM, and the end of a time limit, into an error that ends the attempt in order.

    Without a limit only SIGTERM ends it. Outside the main thread the signal handlers stay
    unchanged, because only the main thread may set them.

    Raises:
        InterruptedAttemptError: on SIGTERM.
        TimeLimitError: when ``limit_seconds`` have passed.
    """
    NOTICE.begin()
    if threading.current_thread() is not threading.main_thread():
        yield NOTICE
        return

    def interrupted(number: int, frame: FrameType | None) -> None:
        NOTICE.give(
            InterruptedAttemptError(
                f"{name} was stopped (SIGTERM): its last state is in the store, and the next "
                "attempt resumes from it"
            )
        )

    def too_long(number: int, frame: FrameType | None) -> None:
        NOTICE.give(
            TimeLimitError(
                f"{name} ran past its limit of {(limit_seconds or 0) / 60:g} minutes. Its last "
                "state is in the store: run it again to resume, or raise time_limit_minutes of its "
                "stage in infra/resources"
            )
        )

    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, interrupted),
        signal.SIGALRM: signal.signal(signal.SIGALRM, too_long),
    }
    signal.setitimer(signal.ITIMER_REAL, limit_seconds or 0, _HURRY_SECONDS)
    try:
        yield NOTICE
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        NOTICE.begin()  # what comes after in this process is another matter
