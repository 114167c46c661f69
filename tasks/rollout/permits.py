"""Answers for the supervisor what the filter of system calls asks. Standard library only.

A bundle may start a process or thread as long as there are not too many. Where neither Landlock nor
a namespace keeps signals from other programs, it may signal what it started itself, as the sandbox
does to a program that hangs.
"""

import errno
import fcntl
import os
import struct
from pathlib import Path

from tasks.rollout import calls
from tasks.rollout.usage import descendants

_RECEIVE, _SEND = 0xC050_2100, 0xC018_2101
"""Requests to the kernel; their numbers hold the sizes of the structures below."""
_QUESTION = struct.Struct("=QII iIQ 6Q")
"""Id, process, flags; then number of the call, machine, instruction and the six arguments."""
_ANSWER = struct.Struct("=Qqi I")
"""Id, value, error, flags."""
_GO_ON = 1
"""The kernel makes the call as if there were no filter. What we look at is no memory of the
asker's, so nothing can change after we looked."""
_FORKS = {number for pair in calls.FORKS.values() for number in pair}
_SIGNALS = {number for pair in calls.SIGNALS.values() for number in pair}


def answer_next(listener: int, most_processes: int) -> None:
    """Answer the question that waits, if its asker still does."""
    question = bytearray(_QUESTION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, question)
        identity, _, _, number, _, _, first = _QUESTION.unpack(question)[:7]
        error = _error(number, first, most_processes)
        answer = _ANSWER.pack(identity, 0, -error, 0 if error else _GO_ON)
        fcntl.ioctl(listener, _SEND, answer)
    except FileNotFoundError:  # whoever asked has ended
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
