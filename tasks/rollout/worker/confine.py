"""What the worker process gives up before it runs a team's code. Standard library only.

Four layers, each of which says whether it holds, because platforms differ. Namespaces are often
refused in containers; Landlock and the system call filter (``system_calls``) need no
privilege and work there too.
Other systems than Linux have none of the four; there only the resource limits hold.
"""

import ctypes
import os
import re
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET, _CLONE_NEWIPC = 0x1000_0000, 1 << 29, 1 << 30, 1 << 27
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_CAPABILITY_VERSION_3 = 0x2008_0522

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_FILE_RIGHTS_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1, 2, 4, 8, 1 << 14
_MAKE_SPECIAL = 1 << 6 | 1 << 9 | 1 << 11
"""Rights to make device nodes and sockets, which a grader does not need."""
_TCP_RIGHTS, _TCP_VERSION = 3, 4
_SCOPES, _SCOPES_VERSION = 3, 6
"""Landlock scopes: no signals to processes outside, and no abstract sockets."""

_NPROC_BY_NAMESPACE_SINCE = (5, 14)

_SYSTEM_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_SYSTEM_DATA = ("/usr/share/zoneinfo", "/dev/null", "/dev/zero", "/dev/urandom")


def leave_namespaces() -> bool:
    """Move to a network without interfaces and to process ids of our own; False if refused.

    The calling process must have one thread. Its next child is the first of the new process
    ids: when that one ends, the kernel ends every process that the team's code has started.
    """
    if sys.platform != "linux":
        return False
    flags = _CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWPID | _CLONE_NEWIPC
    refused: int = ctypes.CDLL(None).unshare(flags)
    return not refused


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of what a child leaves behind, so that it can be ended (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def drop_privileges() -> bool:
    """Give up all capabilities permanently; return False if the process has none."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    kept = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return not kept and not libc.capset(struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))


def hide_files(readable: Iterable[str], writable: str) -> bool:
    """Allow only these files and folders, through Landlock; False where it is not available.

    Call ``drop_privileges`` first. Names that do not exist are passed over.
    """
    version = _landlock_version()
    if version < 1:
        return False
    rights = max(value for since, value in _FILE_RIGHTS_BY_VERSION.items() if since <= version)
    attributes = struct.pack(
        "QQQ",
        rights,
        _TCP_RIGHTS if version >= _TCP_VERSION else 0,
        _SCOPES if version >= _SCOPES_VERSION else 0,
    )
    # An older kernel refuses a longer structure than it knows.
    size = 24 if version >= _SCOPES_VERSION else 16 if version >= _TCP_VERSION else 8
    ruleset = _syscall(_LANDLOCK_CREATE, attributes, size, 0)
    for path in readable:
        _allow(ruleset, path, (_READ_FILE | _READ_DIR | _EXECUTE) & rights)
    for path in _SYSTEM_FOLDERS:
        _allow(ruleset, path, (_READ_FILE | _READ_DIR | _EXECUTE) & rights)
    for path in _SYSTEM_DATA:
        _allow(ruleset, path, (_READ_FILE | _READ_DIR | _WRITE_FILE) & rights)
    _allow(ruleset, writable, rights & ~_MAKE_SPECIAL & ~_EXECUTE)
    _syscall(_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return True


def scopes_signals() -> bool:
    """Return whether ``hide_files`` also keeps signals from processes outside."""
    return _landlock_version() >= _SCOPES_VERSION


def counts_own_processes(*, private: bool) -> bool:
    """Return whether RLIMIT_NPROC counts this worker's processes alone.

    Only in a user namespace of its own, and since Linux 5.14. Everywhere else the kernel counts
    every thread of the user, in all containers of the machine, so that a limit for one worker
    would stop it as soon as the user has a browser open or the node runs other pods.
    """
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    version = (int(release[1]), int(release[2])) if release else (0, 0)
    return private and sys.platform == "linux" and version >= _NPROC_BY_NAMESPACE_SINCE


def limit_resources(limits: dict[str, int]) -> None:
    """Set soft and hard resource limits, named as in ``resource`` without RLIMIT_."""
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(kind)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))


def _landlock_version() -> int:
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None)
    version: int = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not Path(path).is_dir():
        rights &= _READ_FILE | _WRITE_FILE | _EXECUTE | _TRUNCATE
    _syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", rights, handle), 0)
    os.close(handle)


def _syscall(number: int, *arguments: int | bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    wide = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    result: int = libc.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{os.strerror(code)} (system call {number})")
    return result
