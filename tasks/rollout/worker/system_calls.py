"""The system calls that a team's code is refused, as a filter of the kernel. Standard library only.

Landlock governs what is opened, made, moved and removed, and no more. Other calls still give files
new rights, times or owners, and processes of the same user new limits. They are refused here, as
are networks, other processes, namespaces, and memory that no limit counts.
"""

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable, Mapping

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_SECCOMP, _SECCOMP_SET_MODE_FILTER, _NEW_LISTENER = (317, 277), 1, 1 << 3
_MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
"""Column in the tables below, and the kernel's name for the architecture."""
_NEXT_CALL = 470
"""Calls from here on are newer than these tables and might do anything. On x86-64 other numbers for
the same calls begin higher up."""

Numbers = tuple[int | None, int | None]
"""The number of a call on x86-64 and on AArch64; None if it does not exist."""

NETWORK: Mapping[str, Numbers] = {
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
}
PROCESSES: Mapping[str, Numbers] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
}
SYSTEM: Mapping[str, Numbers] = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "syslog": (103, 116),
}
METADATA: Mapping[str, Numbers] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "getxattr": (191, 8),
    "lgetxattr": (192, 9),
    "fgetxattr": (193, 10),
    "getxattrat": (464, 464),
    "listxattr": (194, 11),
    "llistxattr": (195, 12),
    "flistxattr": (196, 13),
    "listxattrat": (465, 465),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_getattr": (468, 468),
    "file_setattr": (469, 469),
    # Landlock governs it from version 3 on only.
    "truncate": (76, 45),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
}
UNCOUNTED_MEMORY: Mapping[str, Numbers] = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
}
FORKS: Mapping[str, Numbers] = {
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
}
SIGNALS: Mapping[str, Numbers] = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
}
"""Calls with a process or thread as first argument."""
OTHER_SIGNALS: Mapping[str, Numbers] = {
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
}
_PRLIMIT: Numbers = (302, 261)
_PRCTL: Numbers = (157, 167)
_PR_SET_DUMPABLE = 4
"""Would hide open files from the supervisor, which counts them."""
_FCNTL: Numbers = (72, 25)
_SIGNALS_OF_FILES = (8, 10, 15)
"""F_SETOWN, F_SETSIG and F_SETOWN_EX: they set the process and signal for a ready file."""

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _ASK, _FAIL = 0x7FFF_0000, 0x7FC0_0000, 0x0005_0000
_REFUSE = _FAIL | errno.EPERM

Instruction = tuple[int, int, int, int]
"""Instruction of the kernel's filter language: code, jump if true, jump if false, operand."""


def filter_system_calls(*, signals: bool = True) -> bool:
    """Refuse the calls of the tables; return False without a filter.

    A process without privileges must have ruled out new ones before. A refused call fails with
    EPERM; it kills nothing. ``signals`` says whether signals may be sent, where something else
    keeps them from other programs.
    """
    libc = ctypes.CDLL(None)
    return not _install(
        _ALLOW if signals else _REFUSE,
        lambda whole: libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, whole, 0, 0),
    )


def filter_and_ask(*, signals: bool) -> tuple[bool, int | None]:
    """Refuse the calls of the tables, and have the holder of a file decide on each fork.

    It also decides on each signal, unless ``signals`` may be sent. Return whether the filter
    holds, and the file that ``supervisor`` reads; None where the kernel has none, and
    then every fork is allowed, and no signal unless all are.
    """
    libc, column = ctypes.CDLL(None), _MACHINES.get(os.uname().machine, (0, 0))[0]
    number = ctypes.c_long(_SECCOMP[column])
    listener = _install(
        _ALLOW if signals else _ASK,
        lambda whole: libc.syscall(number, _SECCOMP_SET_MODE_FILTER, _NEW_LISTENER, whole),
        for_forks=_ASK,
    )
    return (True, listener) if listener >= 0 else (filter_system_calls(signals=signals), None)


def _install(for_signals: int, give: Callable[[bytes], int], for_forks: int = _ALLOW) -> int:
    """Give the program to the kernel and return its result; -1 without a program."""
    machine = _MACHINES.get(os.uname().machine)
    if sys.platform != "linux" or machine is None:
        return -1
    program = _program(*machine, for_signals=for_signals, for_forks=for_forks)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    return give(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))


def _program(
    column: int, architecture: int, *, for_signals: int, for_forks: int
) -> list[Instruction]:
    refuse, allow = (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        refuse,
        (_LOAD, 0, 0, _NUMBER),
        # As if the kernel did not know it either: libraries then use an older call.
        (_AT_LEAST, 0, 1, _NEXT_CALL),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]
    for number in _numbers(NETWORK, PROCESSES, SYSTEM, METADATA, UNCOUNTED_MEMORY, column=column):
        program += [(_EQUAL, 0, 1, number), refuse]
    program += _where(_PRLIMIT[column], argument=0, values=(0,), then=allow, otherwise=refuse)
    program += _where(
        _PRCTL[column], argument=0, values=(_PR_SET_DUMPABLE,), then=refuse, otherwise=allow
    )
    for number in _numbers(FORKS, column=column):
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, for_forks)]
    if for_signals != _ALLOW:
        for number in _numbers(SIGNALS, column=column):
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, for_signals)]
        for number in _numbers(OTHER_SIGNALS, column=column):
            program += [(_EQUAL, 0, 1, number), refuse]
        program += _where(
            _FCNTL[column], argument=1, values=_SIGNALS_OF_FILES, then=refuse, otherwise=allow
        )
    return [*program, allow]


def _numbers(*tables: Mapping[str, Numbers], column: int) -> list[int]:
    numbers = [pair[column] for table in tables for pair in table.values()]
    return [number for number in numbers if number is not None]


def _where(
    number: int | None,
    *,
    argument: int,
    values: tuple[int, ...],
    then: Instruction,
    otherwise: Instruction,
) -> list[Instruction]:
    """Return the instructions that decide a call by an argument of 32 bits."""
    assert number is not None
    low_half = _ARGUMENTS + 8 * argument  # both machines store it first
    decide: list[Instruction] = [(_LOAD, 0, 0, low_half)]
    for value in values:
        decide += [(_EQUAL, 0, 1, value), then]
    decide.append(otherwise)
    return [(_EQUAL, 0, len(decide), number), *decide]
