"""Takes from this process what some kernels and containers lack, for tests of what is left."""

import ctypes
import errno
import os
import struct

_CALLS = {  # on x86-64 and on AArch64
    "namespaces": ((272, 97), errno.EPERM),
    "landlock": ((444, 444), errno.ENOSYS),
    "filter": ((317, 277), errno.ENOSYS),
}
_PRCTL = (157, 167)
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2


def lack(*parts):
    """Have the kernel answer as one without these parts, for this process and its children."""
    column = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
    program = [(0x20, 0, 0, 0)]  # load the number of the call
    for part in parts:
        numbers, error = _CALLS[part]
        program += [(0x15, 0, 1, numbers[column]), (0x06, 0, 0, 0x0005_0000 | error)]
    if "filter" in parts:
        program += [
            (0x15, 0, 4, _PRCTL[column]),
            (0x20, 0, 0, 16),  # load what is asked of prctl
            (0x15, 0, 1, _PR_SET_SECCOMP),
            (0x06, 0, 0, 0x0005_0000 | errno.EINVAL),
            (0x06, 0, 0, 0x7FFF_0000),
        ]
    program.append((0x06, 0, 0, 0x7FFF_0000))  # allow the rest
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    whole = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, whole, 0, 0) == 0
