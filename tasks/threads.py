"""How many threads torch may use in this process, and how those that have nothing to do wait."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_BEFORE: ContextVar[int] = ContextVar("threads_before", default=0)


WAIT_POLICY = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait give their core away. By default they spin, and beside one busy process two
threads keep a small part of their speed."""


def wait_without_spinning() -> None:
    """Set the wait policy, unless the user has; libgomp reads it once, when torch loads."""
    for name, value in WAIT_POLICY.items():
        os.environ.setdefault(name, value)


def use_configured_threads() -> None:
    """Set torch to $PROVOST_THREADS threads, or to 1; to those of a run that is made again.

    Teams climb side by side as processes: two torch processes with two threads each on two cores
    were 1.2 to 17 times slower than with one. A stage that runs alone gets all cores (``demo``).
    """
    import torch  # noqa: PLC0415 - only where a step is about to compute

    torch.set_num_threads(_BEFORE.get() or int(os.environ.get("PROVOST_THREADS") or 1))


def threads_in_use() -> int:
    """Return how many threads torch uses; 0 where nothing has imported it."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch else 0


@contextmanager
def as_many_threads(before: int) -> Iterator[None]:
    """Let what is computed within use as many threads as a run before; 0 for any number.

    Sums of floats depend on how they are split: with another number of threads a lost output comes
    out with other bits, and the record says that it gave two different things.
    """
    token = _BEFORE.set(before)
    try:
        yield
    finally:
        _BEFORE.reset(token)
