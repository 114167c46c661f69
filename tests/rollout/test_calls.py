"""The filter of system calls by itself: what Landlock and namespaces do not govern."""

import json
import os
import subprocess
import sys

import pytest

from tests.rollout.test_worker_confinement import need

TRIALS = """
import ctypes, fcntl, json, os, resource, signal, struct, sys
from tasks.rollout.worker import confine, system_calls

key, caller, signals = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "signals"
libc = ctypes.CDLL(None, use_errno=True)
machine = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
ready, _ = os.pipe()
queued = struct.pack("=iii116x", 0, 0, -1)
caller_file = os.pidfd_open(caller)
confine.drop_privileges()
held = system_calls.filter_system_calls(signals=signals)

def raw(number, *arguments):
    done = libc.syscall(ctypes.c_long(number), *arguments)
    if done < 0:
        raise OSError(ctypes.get_errno(), "")

def by_name(function, *arguments):
    if getattr(libc, function)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")

def call(table, name, *arguments):
    raw(getattr(system_calls, table)[name][machine], *arguments)

trials = {
    "chmod": lambda: os.chmod(key, 0o777),
    "chmod of the newest": lambda: call("METADATA", "fchmodat2", -100, key.encode(), 0o777, 0),
    "chmod of an open file": lambda: os.fchmod(os.open(key, os.O_RDONLY), 0o777),
    "chown": lambda: os.chown(key, os.getuid(), os.getgid()),
    "chown of a link": lambda: os.lchown(key, os.getuid(), os.getgid()),
    "times": lambda: os.utime(key, (0, 0)),
    "truncate": lambda: os.truncate(key, 0),
    "set an attribute": lambda: os.setxattr(key, "user.mine", b"1"),
    "read an attribute": lambda: os.getxattr(key, "user.mine"),
    "list attributes": lambda: os.listxattr(key),
    "remove an attribute": lambda: os.removexattr(key, "user.mine"),
    "watch a folder": lambda: by_name("inotify_init1", 0),
    "memory as a file": lambda: os.memfd_create("m"),
    "memory that stays": lambda: by_name("shmget", 0, 4096, 0o1600),
    "another's limits": lambda: resource.prlimit(caller, resource.RLIMIT_CORE),
    "another's priority": lambda: os.setpriority(os.PRIO_PROCESS, caller, 19),
    "another's processors": lambda: os.sched_setaffinity(caller, {0}),
    "a call of the future": lambda: raw(470),
    "its own limits": lambda: resource.getrlimit(resource.RLIMIT_CORE),
    "its own flags": lambda: fcntl.fcntl(ready, fcntl.F_GETFL),
    "kill": lambda: os.kill(caller, 0),
    "kill by a handle": lambda: signal.pidfd_send_signal(caller_file, 0),
    "kill with a value": lambda: call("OTHER_SIGNALS", "rt_sigqueueinfo", caller, 0, queued),
    "kill by a thread": lambda: call("SIGNALS", "tgkill", caller, caller, 0),
    "kill by a file": lambda: fcntl.fcntl(ready, fcntl.F_SETOWN, caller),
    "kill by a file, choose": lambda: fcntl.fcntl(ready, 10, signal.SIGKILL),
}
found = {}
for name, trial in trials.items():
    try:
        trial()
        found[name] = "done"
    except OSError as error:
        found[name] = os.strerror(error.errno)
print(json.dumps([held, found]))
"""
REFUSED = "Operation not permitted"


@pytest.mark.parametrize("signals", [True, False])
def test_the_filter_refuses_what_no_other_layer_governs(tmp_path, signals):
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o600)
    before = key.stat()
    done = subprocess.run(
        [sys.executable, "-c", TRIALS, str(key), str(os.getpid()), "signals" if signals else "no"],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )
    held, found = json.loads(done.stdout)
    need(held)
    allowed = {name for name, outcome in found.items() if outcome == "done"}
    signaled = {name for name in found if name.startswith("kill")}
    assert allowed == {"its own limits", "its own flags"} | (signaled if signals else set())
    assert found.pop("a call of the future") == "Function not implemented"
    assert {found[name] for name in found.keys() - allowed} == {REFUSED}
    assert key.read_text() == "secret"
    assert (key.stat().st_mode, key.stat().st_mtime) == (before.st_mode, before.st_mtime)
