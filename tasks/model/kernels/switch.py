"""One switch for all kernels: without them, a model computes as its architecture is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ARE_ON: ContextVar[bool] = ContextVar("kernels_are_on", default=True)


def kernels_are_on() -> bool:
    """Return whether models may compute by the kernels of this package."""
    return _ARE_ON.get()


@contextmanager
def without_kernels() -> Iterator[None]:
    """Let models that are prepared and run within the context compute as they are written."""
    token = _ARE_ON.set(False)
    try:
        yield
    finally:
        _ARE_ON.reset(token)
