"""Where the time of a step goes: a clock for each phase, that stops while an inner one runs."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import nn

Seconds = Mapping[str, tuple[float, float]]
"""Wall and processor seconds of each phase."""
P = ParamSpec("P")
R = TypeVar("R")
REST = "rest"
SAMPLING = "rollout"


class Phases:
    """Seconds by phase, of wall clock and of processor."""

    def __init__(self, device: str) -> None:
        """Start no clock yet; on a GPU every boundary waits for it."""
        self._on_gpu = torch.device(device).type == "cuda"
        self._stack: list[str] = []
        self._since = (0.0, 0.0)
        self._seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what is inside under ``name``; what a rollout does is all its own."""
        if SAMPLING in self._stack:
            yield
            return
        self._book()
        self._stack.append(name)
        try:
            yield
        finally:
            self._book()
            self._stack.pop()

    def start(self) -> None:
        """Begin a step: all that no phase claims is ``rest``."""
        self._seconds.clear()
        self._stack = [REST]
        self._since = self._now()

    def stop(self) -> Seconds:
        """End the step; return wall and processor seconds of each phase."""
        self._book()
        self._stack = []
        return {name: (wall, cpu) for name, (wall, cpu) in self._seconds.items()}

    @property
    def running(self) -> bool:
        """Whether a step is being timed."""
        return bool(self._stack)

    def wrap(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, timed as a phase wherever a step is running."""

        @wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            if not self.running:
                return function(*args, **kwargs)
            with self(name):
                return function(*args, **kwargs)

        return timed

    def watch(self, module: nn.Module, name: str) -> None:
        """Time a module's forward pass as a phase."""
        module.forward = self.wrap(name, module.forward)

    def _book(self) -> None:
        now = self._now()
        if self._stack:
            entry = self._seconds[self._stack[-1]]
            entry[0] += now[0] - self._since[0]
            entry[1] += now[1] - self._since[1]
        self._since = now

    def _now(self) -> tuple[float, float]:
        if self._on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


@contextmanager
def backward_timed(*sides: Phases) -> Iterator[None]:
    """Time every backward pass inside, for whichever side is running."""
    plain = torch.autograd.backward

    timed = plain
    for phases in sides:
        timed = phases.wrap("backward", timed)
    torch.autograd.backward = timed
    try:
        yield
    finally:
        torch.autograd.backward = plain
