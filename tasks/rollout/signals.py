"""Answers for the supervisor: may a process of the bundle send this signal? Standard library only.

Where neither Landlock nor a namespace keeps signals from other programs, the filter of system calls
asks here. A bundle may signal what it started itself, as the sandbox does to a program that hangs.
"""

import errno
import fcntl
import os
import struct
from pathlib import Path

_RECEIVE, _SEND = 0xC050_2100, 0xC018_2101
"""Requests to the kernel; their numbers hold the sizes of the structures below."""
_QUESTION = struct.Struct("=QII iIQ 6Q")
"""Id, process, flags; then number of the call, machine, instruction and the six arguments."""
_ANSWER = struct.Struct("=Qqi I")
"""Id, value, error, flags."""
_GO_ON = 1
"""The kernel makes the call as if there were no filter. Its arguments here are numbers, so nothing
can change after we looked."""


def answer_next(listener: int) -> None:
    """Answer the question that waits, if its asker still does."""
    question = bytearray(_QUESTION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, question)
        number, *_, target = _QUESTION.unpack(question)[:7]
        allowed = is_descendant(struct.unpack("=i", struct.pack("=Q", target)[:4])[0])
        decision = (0, 0, _GO_ON) if allowed else (0, -errno.EPERM, 0)
        fcntl.ioctl(listener, _SEND, _ANSWER.pack(number, *decision))
    except FileNotFoundError:  # whoever asked has ended
        return


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
