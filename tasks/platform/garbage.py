"""Python's collections of garbage: rarely while modules load, as always while a step computes.

Loading torch, transformers, Flyte and MLflow makes a million objects, of which none is garbage, and
Python looks through them again and again: a fifth of the processor time of an audit. A step that
trains leaves cycles that hold tensors, so nothing changes for it. As Python ends it looks once
more, which takes a second or two and frees what ends anyway.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_ALWAYS = gc.get_threshold()
_RARELY = (100_000, 50, 100)


def collect_rarely() -> None:
    """Collect garbage rarely from now on, and nothing of what is left at the end."""
    gc.set_threshold(*_RARELY)
    atexit.register(gc.freeze)


@contextmanager
def as_always() -> Iterator[None]:
    """Collect garbage within as often as Python does by itself."""
    before = gc.get_threshold()
    gc.set_threshold(*_ALWAYS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
