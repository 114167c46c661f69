"""A step on a GPU, recorded once and then repeated: a CUDA graph.

A pass of one token per row launches hundreds of small kernels, and launching them takes longer than
running them. A recorded step is a single launch. It reads and writes the same memory as in the
recording, so a step changes its buffers in place, and a recording is dropped when they move.
"""

from collections.abc import Callable

import torch


class Recorded:
    """A step without arguments: run, then recorded, then repeated.

    The first call after each ``forget`` runs it plainly, which lets libraries initialize outside a
    recording; the second call records it. Every call does one step.
    """

    def __init__(self, step: Callable[[], None]) -> None:
        """Take the step, without running it."""
        self._step = step
        self._has_run = False
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do one step."""
        if not self._has_run:
            self._run_aside()
            return
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # records, and runs nothing
                self._step()
        self._graph.replay()

    def forget(self) -> None:
        """Drop the recording, and the memory of what it computed."""
        self._graph, self._has_run = None, False

    def _run_aside(self) -> None:
        """Run the step on a stream of its own, as is required before a recording."""
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            self._step()
        here.wait_stream(aside)
        self._has_run = True
