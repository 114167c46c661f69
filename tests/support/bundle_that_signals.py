"""A program that runs a bundle which signals all that it can name, and prints what came of it."""

import os
import sys
import tempfile
from pathlib import Path

from tasks.rollout.worker.client import EnvironmentWorker
from tests.support.bundles import episodes, write_bundle

TOP = r"""
import json, os, signal, time
from tasks.rollout.worker.system_calls import SIGNALS
from tasks.rollout.sandbox import Call, SandboxLimits, run_program

HARD = "n = 1\nfor _ in range(100): n = n * n + 7 ** 1000"


def attempt(action):
    try:
        action()
    except PermissionError:
        return "refused"
    return "sent"


def kill_thread(caller):
    column = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(SIGNALS["tgkill"][column], caller, caller, 0) < 0:
        raise OSError(ctypes.get_errno(), "")


def child():
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    return pid
"""
RESPOND = """
caller, own = int(turns[-1].content), child()
found = {
    "the caller": attempt(lambda: os.kill(caller, 0)),
    "its supervisor": attempt(lambda: os.kill(os.getppid(), signal.SIGKILL)),
    "its group": attempt(lambda: os.kill(0, 0)),
    "everybody": attempt(lambda: os.kill(-1, 0)),
    "a thread of the caller": attempt(lambda: kill_thread(caller)),
    "itself": attempt(lambda: os.kill(os.getpid(), 0)),
    "its child": attempt(lambda: os.kill(own, signal.SIGKILL)),
}
os.waitpid(own, 0)
began = time.monotonic()
found["a program that hangs"] = run_program(HARD, [], SandboxLimits(seconds=0.2)).error
found["took long"] = time.monotonic() - began > 5
return json.dumps(found)
"""

with tempfile.TemporaryDirectory() as folder:
    bundle = write_bundle(Path(folder), top=f"import ctypes\n{TOP}", respond=RESPOND)
    with EnvironmentWorker(bundle) as asked:
        sys.stdout.write(asked.respond(episodes(str(os.getpid())))[0] or "")
