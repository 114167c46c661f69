"""What the worker process gives up before it runs a team's code. Standard library only.

Each function says what it achieved, because platforms differ: user namespaces are often switched
off in containers, and other systems than Linux have none of this.
"""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def leave_namespaces() -> bool:
    """Move to a network without interfaces and to process ids of our own; False if refused.

    The calling process must have one thread. Its next child is the first of the new process
    ids: when that one ends, the kernel ends every process that the team's code has started.
    """
    if sys.platform != "linux":
        return False
    uid, gid = os.geteuid(), os.getegid()
    flags = _CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWPID | _CLONE_NEWIPC
    if ctypes.CDLL(None).unshare(flags) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    return True


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def limit_resources(limits: dict[str, int]) -> None:
    """Set soft and hard resource limits, named as in ``resource`` without RLIMIT_."""
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(kind)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))
