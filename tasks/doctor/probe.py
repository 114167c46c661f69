"""A process that tries the kernel's confinement features on itself and prints what worked.

Run as ``python -m tasks.doctor.probe``: each trial happens in a forked child, because most of them
cannot be taken back. Standard library only, so that it starts in a twentieth of a second.
"""

import ctypes
import json
import os
import struct
import sys
from collections.abc import Callable

_CLONE = {"user": 0x1000_0000, "pid": 1 << 29, "net": 1 << 30}
_LANDLOCK_CREATE, _ASK_VERSION = 444, 1
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW = 0x7FFF_0000


def user_namespace() -> bool:
    """Return whether an ordinary user gets a user namespace with process and network namespaces."""
    return _unshare(_CLONE["user"] | _CLONE["pid"] | _CLONE["net"])


def namespaces_as_root() -> bool:
    """Return whether process and network namespaces work without a user namespace."""
    return _unshare(_CLONE["pid"] | _CLONE["net"])


def system_call_filter() -> bool:
    """Return whether this process may install a system-call filter."""
    libc = ctypes.CDLL(None)
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, _ALLOW))
    whole = struct.pack("HxxxxxxQ", 1, ctypes.addressof(program))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    refused: int = libc.prctl(_PR_SET_SECCOMP, _FILTER, whole, 0, 0)
    return not refused


def landlock_version() -> int:
    """Return the version of Landlock's interface; 0 without Landlock."""
    version: int = ctypes.CDLL(None).syscall(
        ctypes.c_long(_LANDLOCK_CREATE), None, ctypes.c_size_t(0), ctypes.c_long(_ASK_VERSION)
    )
    return max(version, 0)


def _unshare(flags: int) -> bool:
    refused: int = ctypes.CDLL(None).unshare(flags)
    return not refused


def in_child(trial: Callable[[], int]) -> int:
    """Return the result of ``trial`` (at most 255), run in a forked child."""
    child = os.fork()
    if not child:
        os._exit(min(int(trial()), 255))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


TRIALS: dict[str, Callable[[], int]] = {
    "user_namespace": user_namespace,
    "namespaces_as_root": namespaces_as_root,
    "system_call_filter": system_call_filter,
    "landlock": landlock_version,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: in_child(trial) for name, trial in TRIALS.items()}))
