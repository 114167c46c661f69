"""What a process holds in memory and in the page cache, and functions in a process of their own."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
_SAMPLED_SECONDS = 0.01


def in_own_process(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Return what a function returns in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(function, *args, **kwargs).result()


def resident() -> dict[str, int]:
    """Return the process's anonymous and file-backed resident bytes and its peak of both."""
    wanted = {"RssAnon": "anonymous", "RssFile": "file_backed", "VmHWM": "peak"}
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[key].split()[0]) << 10 for key, name in wanted.items()}


@contextmanager
def largest_resident() -> Iterator[dict[str, int]]:
    """Yield the largest of what ``resident`` returns while the block runs, sampled each 10 ms."""
    found: dict[str, int] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_SAMPLED_SECONDS):
            for name, value in resident().items():
                found[name] = max(found.get(name, 0), value)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def drop_from_cache(file: Path) -> None:
    """Drop a file from the page cache, unless it is mapped."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
