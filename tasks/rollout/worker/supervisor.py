"""The supervisor of a bundle: watches what it uses, and decides its forks and signals.

Standard library only. The kernel's own limits hold for each process and each file. Without a
control group nothing counts them together, so the supervisor does, several times a second.

The filter of system calls leaves forks and signals to the supervisor. A bundle may start a process
or thread while it has few enough. Where neither Landlock nor a namespace keeps signals from other
programs, it may signal only what it started itself, as the sandbox does to a program that hangs.
"""

import contextlib
import errno
import fcntl
import os
import signal
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.rollout.worker import scratch, system_calls

LOOK_SECONDS = 0.1
_NEXT_LOOK_SECONDS = 0.001
FIRST_STATUS = 200
"""Exit statuses of the supervisor from here on name the exceeded limit."""
ENDINGS = {
    200: "used more memory than WorkerLimits.memory_bytes, all its processes together",
    201: "kept more on the disk than WorkerLimits.scratch_bytes, all its files together",
    202: "started more processes and threads than WorkerLimits.processes",
}
_MEMORY, _DISK, _PROCESSES = ENDINGS
_COUNTED_MEMORY = ("RssAnon:", "RssShmem:", "VmSwap:")
_KIB = 1024
_RECEIVE, _SEND = 0xC050_2100, 0xC018_2101
"""Requests to the kernel; their numbers hold the sizes of the structures below."""
_QUESTION = struct.Struct("=QII iIQ 6Q")
"""Id, process, flags; then number of the call, machine, instruction and the six arguments."""
_ANSWER = struct.Struct("=Qqi I")
"""Id, value, error, flags."""
_GO_ON = 1
"""The kernel makes the call as if the filter were absent. We never inspect the caller's memory, so
the inspected arguments cannot change afterwards."""
_FORKS = {number for pair in system_calls.FORKS.values() for number in pair}
_SIGNALS = {number for pair in system_calls.SIGNALS.values() for number in pair}
_GONE = " (deleted)"
"""How the kernel marks a file without a name."""


@dataclass(frozen=True)
class Totals:
    """The most that a bundle may use, over all its processes and files."""

    memory_bytes: int
    scratch_bytes: int
    processes: int
    """Number of processes and threads, as the kernel counts them."""


class UsageWatch:
    """Looks at what a child and all that it started use together."""

    def __init__(self, child: int, folder: str, most: Totals) -> None:
        """Name the child of this process and the one folder that it may write to."""
        self._child, self._folder, self._most = child, folder, most
        self._next_look = 0.0
        self.found = 0
        """Exit status for the exceeded limit; 0 for none."""

    def look(self) -> float:
        """Look if it is time to, and return the seconds until the next look."""
        began = time.monotonic()
        if began >= self._next_look:
            self.found = self.found or self.excess()
            # Rest as long as the look took: many files must not make us take a whole processor.
            took = time.monotonic() - began
            self._next_look = began + took + max(LOOK_SECONDS, took)
        return max(self._next_look - time.monotonic(), 0.0)

    def excess(self) -> int:
        """Return the exit status for what there is too much of now, 0 for nothing."""
        found = descendants(self._child)
        # Each fork is checked, but simultaneous forks can all pass the check for the last one.
        if sum(map(len, found.values())) > 2 * self._most.processes:
            return _PROCESSES
        if sum(map(_memory, found)) > self._most.memory_bytes:
            return _MEMORY
        enough = self._most.scratch_bytes
        kept = scratch.bytes_in(self._folder, enough) + sum(self._unnamed(found).values())
        return _DISK if kept > enough else 0

    def _unnamed(self, processes: dict[int, list[str]]) -> dict[str, int]:
        """Return the bytes of files that have no name any more and are still open or mapped."""
        sizes: dict[str, int] = {}
        for pid in processes:
            for name in _names(f"/proc/{pid}/fd"):
                sizes |= _opened(f"/proc/{pid}/fd/{name}")
            for line in _read(f"/proc/{pid}/maps").splitlines():
                if line.endswith(_GONE) and f" {self._folder}/" in line:
                    sizes |= _mapped(line)
        return sizes


def descendants(child: int | None = None) -> dict[int, list[str]]:
    """Return the threads of every process that goes back to this one, by process.

    What lost its parent is a child of ours: we adopt orphans. ``child`` is among them also where
    the system keeps no list.
    """
    found: dict[int, list[str]] = {}
    waiting = [] if child is None else [child]
    waiting += _children(os.getpid(), [str(os.getpid())])
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = _names(f"/proc/{pid}/task")
            waiting += _children(pid, found[pid])
    return found


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def stop() -> None:
    """Stop every process that goes back to this one, those included that start meanwhile."""
    stopped: set[int] = set()
    while running := descendants().keys() - stopped:
        for pid in running:
            send(pid, signal.SIGSTOP)
        stopped |= running


def end() -> None:
    """End every descendant of this process, and wait for them.

    They are stopped first, because ending them one by one never catches up with processes that
    fork. One that loses its parent while we look is in neither list of children, so we look again
    as long as a child is left.
    """
    with contextlib.suppress(ChildProcessError):  # all of them have ended
        while True:
            stop()
            for pid in descendants():
                send(pid, signal.SIGKILL)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(_NEXT_LOOK_SECONDS)


def answer_next(listener: int, most_processes: int) -> None:
    """Answer the question that waits, if its asker still does."""
    question = bytearray(_QUESTION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, question)
        identity, _, _, number, _, _, first = _QUESTION.unpack(question)[:7]
        error = _error(number, first, most_processes)
        answer = _ANSWER.pack(identity, 0, -error, 0 if error else _GO_ON)
        fcntl.ioctl(listener, _SEND, answer)
    except FileNotFoundError:  # the caller has ended
        return


def _error(number: int, first: int, most_processes: int) -> int:
    """Return the error that a call fails with, 0 for none."""
    if number in _FORKS:
        too_many = sum(map(len, descendants().values())) >= most_processes
        return errno.EAGAIN if too_many else 0
    (target,) = struct.unpack("=i", struct.pack("=Q", first)[:4])
    return 0 if number in _SIGNALS and is_descendant(target) else errno.EPERM


def is_descendant(pid: int) -> bool:
    """Return whether this process, or one that it started, started the process or thread."""
    while pid > 1:
        try:
            status = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return False
        pid = int(status.rpartition(b")")[2].split()[1])
        if pid == os.getpid():
            return True
    return False


def _children(pid: int, threads: list[str]) -> Iterator[int]:
    for thread in threads:
        yield from map(int, _read(f"/proc/{pid}/task/{thread}/children").split())


def _memory(pid: int) -> int:
    lines = map(str.split, _read(f"/proc/{pid}/status").splitlines())
    return sum(int(line[1]) * _KIB for line in lines if line[0] in _COUNTED_MEMORY)


def _mapped(line: str) -> dict[str, int]:
    """Return the length of a mapping by its file, from a line of /proc/PID/maps."""
    first, last = (int(address, 16) for address in line.split()[0].split("-"))
    return {line.split()[4]: last - first}


def _opened(link: str) -> dict[str, int]:
    """Return the size of an open file without a name by its number."""
    try:
        status = Path(link).stat()
    except OSError:  # closed, or ended, while we look
        return {}
    if status.st_nlink or not stat.S_ISREG(status.st_mode):
        return {}
    return {str(status.st_ino): status.st_blocks * 512}


def _read(file: str) -> str:
    try:
        return Path(file).read_text("utf-8", "replace")
    except OSError:  # a process that ends while we look
        return ""


def _names(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:  # a process that ends while we look
        return []
