"""A call that may hang or take too much memory, in a process of its own. Standard library only.

Libraries that parse what a model wrote can be made to compute for ever: a tower of powers is a few
characters long. A signal does not interrupt a computation in C, but the end of a process does. A
grader that calls one gives such an answer 0 instead of stopping the run.
"""

import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tasks.rollout.absent import NotCarriedError
from tasks.rollout.environment import Json

SECONDS = 5.0
MEMORY_BYTES = 512 * 1024**2
_CHUNK_BYTES = 65_536
_MOST_BYTES = 1 << 20
_STATM = Path("/proc/self/statm")
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024

Given = TypeVar("Given")


class UnfinishedError(Exception):
    """The call took too long or too much memory, raised, or ended its process."""


def bounded(
    function: Callable[[Given], Json],
    argument: Given,
    *,
    seconds: float = SECONDS,
    memory_bytes: int = MEMORY_BYTES,
) -> Json:
    """Return what a call returns, as JSON; the call runs in a forked process.

    Args:
        function: The call. What it changes in memory is lost.
        argument: Its argument.
        seconds: Wall-clock time that it may take.
        memory_bytes: Memory that it may take beyond what this process has.

    Raises:
        UnfinishedError: it did not return a value in these limits; the text says why.
        NotCarriedError: it used a package that the release does not carry. That is a fault of the
            release, and not of the answer.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _answer(writing, function, argument, memory_bytes)
    os.close(writing)
    try:
        said = _read(reading, time.monotonic() + seconds)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if said is None:
        raise UnfinishedError(f"no result within {seconds:g} s")
    if said.startswith(b"!"):
        raise NotCarriedError(said[1:].decode("utf-8", "replace"))
    if not said.startswith(b"+"):
        raise UnfinishedError(said[1:].decode("utf-8", "replace") or "its process ended")
    value: Json = json.loads(said[1:])
    return value


def _answer(
    writing: int, function: Callable[[Given], Json], argument: Given, memory_bytes: int
) -> None:
    """Write the result of a call and end this process."""
    try:
        _limit(memory_bytes)
        said = b"+" + json.dumps(function(argument)).encode()
    except NotCarriedError as error:
        said = b"!" + str(error).encode()
    except BaseException as error:  # noqa: BLE001 (whatever a library raises ends here)
        said = f"-raised {type(error).__name__}".encode()
    try:
        for start in range(0, len(said), _CHUNK_BYTES):
            os.write(writing, said[start : start + _CHUNK_BYTES])
    finally:
        os._exit(0)  # the parent's open files and exit handlers are not ours


def _limit(memory_bytes: int) -> None:
    """Limit what this process takes beyond the memory of its parent."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _taken_bytes() + memory_bytes
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


def _taken_bytes() -> int:
    """Return what the limit counts already: writable mappings, used or not."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
    try:
        mapped = int(_STATM.read_text("ascii").split()[5]) * resource.getpagesize()
    except OSError:  # a confined process may not look there; it reserves little
        return peak
    return max(peak, mapped)


def _read(reading: int, end: float) -> bytes | None:
    """Return all that is written until the end of the pipe; None where the time is up first."""
    said = bytearray()
    while (rest := end - time.monotonic()) > 0:
        if not select.select([reading], [], [], rest)[0]:
            break
        data = os.read(reading, _CHUNK_BYTES)
        if not data or len(said) > _MOST_BYTES:
            return bytes(said)
        said += data
    return None
