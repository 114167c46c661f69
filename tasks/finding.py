"""Finds finished work without making any: whether a run of a workflow has anything left to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from lineage.record import Derivation

_FINDING_ONLY: ContextVar[bool] = ContextVar("finding_only", default=False)


class NotMadeError(LookupError):
    """Work that may only be found is not finished."""


@contextmanager
def finding_only() -> Iterator[None]:
    """Have steps within return finished work, and raise ``NotMadeError`` where there is none."""
    token = _FINDING_ONLY.set(True)
    try:
        yield
    finally:
        _FINDING_ONLY.reset(token)


def is_finding_only() -> bool:
    """Return whether finished work may be found here and none made."""
    return _FINDING_ONLY.get()


def refuse_to_make(derivation: Derivation) -> None:
    """Refuse to make an output where finished work may only be found.

    Raises:
        NotMadeError: Under ``finding_only``.
    """
    if is_finding_only():
        raise NotMadeError(f"{derivation.kind} {derivation.digest()} is not made yet")
