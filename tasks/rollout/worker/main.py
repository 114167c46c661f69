"""The confined process of ``tasks.rollout.worker``: started as a script, never imported.

Standard library only, and few modules of it: this decides how fast a worker starts. It runs
without site-packages, so a team's bundle finds the standard library and ``tasks.rollout``.
"""

import _socket
import contextlib
import importlib
import json
import os
import select
import signal
import struct
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import TypedDict

OURS = (
    "absent",
    "bounded",
    "client",
    "environment",
    "foreign",
    "json_lines",
    "prompts",
    "sandbox",
    "worker",
    "worker.confine",
    "worker.scratch",
    "worker.serve",
    "worker.supervisor",
    "worker.system_calls",
)
_SAID_BYTES = 4096


class WorkerSettings(TypedDict):
    """What the parent hands over at the start, as far as it is needed here."""

    scratch: str
    readable: list[str]
    site: list[str]
    """Folders of the bundle's own wheels, to be imported after the standard library."""
    limits: dict[str, int]
    totals: dict[str, int]


class BundleFinder(MetaPathFinder):
    """Finds ``tasks.rollout`` and what its sandbox needs, and refuses the rest of Provost."""

    def __init__(self, modules: dict[str, str]) -> None:
        """Take the file of each importable top-level module, ``__init__.py`` for a package."""
        self._modules = modules
        self._allowed = {"tasks", "tasks.rollout", *(f"tasks.rollout.{name}" for name in OURS)}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of our packages; None leaves the name to the standard library."""
        if fullname.partition(".")[0] == "tasks" and fullname not in self._allowed:
            raise ImportError(
                f"{fullname} is not available: a bundle may import the standard library, its own "
                "wheels, and environment, sandbox, bounded and absent of tasks.rollout"
            )
        # By file, because the folder that holds it must not be readable.
        file = self._modules.get(fullname)
        return spec_from_file_location(fullname, file) if file else None


def confine_child(settings: WorkerSettings, supervisor: _socket.socket, *, private: bool) -> None:
    """Give up what can be given up, and tell the supervisor what that was.

    The supervisor says it to the parent, which answers before any of the bundle is loaded.
    """
    calls = importlib.import_module("tasks.rollout.worker.system_calls")
    confine = importlib.import_module("tasks.rollout.worker.confine")
    confine.die_with_parent()
    os.environ["TMPDIR"] = settings["scratch"]
    limits = settings["limits"]
    if not confine.counts_own_processes(private=private):
        del limits["NPROC"]
    confine.limit_resources(limits)
    confine.drop_privileges()
    readable = [*settings["readable"], *sys.path, f"{sys.base_prefix}/lib"]
    hidden = confine.hide_files(readable, settings["scratch"])
    signals = private or (hidden and confine.scopes_signals())
    filtered, listener = calls.filter_and_ask(signals=signals)
    said = {
        # A network namespace leaves the sockets that are files, and Landlock leaves chmod.
        "network_cut": filtered,
        "files_hidden": hidden and filtered,
        "processes_private": private,
    }
    rights = [] if listener is None else [struct.pack("i", listener)]
    supervisor.sendmsg(
        [json.dumps(said).encode()],
        [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, right) for right in rights],
    )
    supervisor.close()
    if listener is not None:
        os.close(listener)  # who holds it answers for itself


def announce(child: _socket.socket) -> list[int]:
    """Report the child's confinement to the parent; return the file descriptors to answer."""
    said, rights, *_ = child.recvmsg(_SAID_BYTES, _socket.CMSG_SPACE(struct.calcsize("i")))
    if said:  # else it has ended, and its status tells the parent so
        with contextlib.suppress(BrokenPipeError):  # the parent has ended
            os.write(1, said + b"\n")
    return [struct.unpack("i", data[:4])[0] for _, _, data in rights]


def supervise(child: int, parent: int, listeners: list[int], settings: WorkerSettings) -> int:
    """Wait for the child and return its exit status.

    End it when the parent dies or asks us to, and when it uses too much, which has a status of its
    own. Meanwhile answer what its filter of system calls asks.

    The parent's process id is watched because PR_SET_PDEATHSIG would fire as soon as the *thread*
    that started this process ends.
    """
    supervisor = importlib.import_module("tasks.rollout.worker.supervisor")
    signal.signal(signal.SIGTERM, lambda *_: supervisor.send(child, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    most = supervisor.Totals(**settings["totals"])
    watch = supervisor.UsageWatch(child, settings["scratch"], most)
    watched = [os.pidfd_open(child)] if sys.platform == "linux" else []
    if watched and os.getppid() == parent:
        watched.append(os.pidfd_open(parent))
    waiting = select.poll()  # takes any descriptor; `select` none above 1023
    for descriptor in (*watched, *listeners):
        waiting.register(descriptor, select.POLLIN)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            supervisor.end()  # nothing, where process ids were private
            code = os.waitstatus_to_exitcode(status)
            found: int = watch.found
            return found or min(code if code >= 0 else 128 - code, supervisor.FIRST_STATUS - 1)
        rest = watch.look()
        if os.getppid() != parent or watch.found:
            supervisor.stop()
            supervisor.send(child, signal.SIGKILL)
        ready = {descriptor for descriptor, _ in waiting.poll(rest * 1000)}
        for listener in listeners:
            if listener in ready:
                supervisor.answer_next(listener, most.processes)


def main() -> int:
    """Confine a child, say how, and serve the bundle in it; argument 1 is the settings as JSON."""
    settings = json.loads(sys.argv[1])
    parent = settings["parent"]
    sys.meta_path.insert(0, BundleFinder(settings["modules"]))
    confine = importlib.import_module("tasks.rollout.worker.confine")
    private = confine.leave_namespaces()
    confine.adopt_orphans()
    # Held back until there is a handler: who ends us in between must not leave the child behind.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ours, childs = _socket.socketpair()
    child = os.fork()
    if child:
        childs.close()
        listeners = announce(ours)
        ours.close()
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        status = supervise(child, parent, listeners, settings)
        # A parent that dies closes its pipes, which ends an idle child, a moment before it is gone.
        if os.getppid() != parent or status == 0:
            importlib.import_module("tasks.rollout.worker.scratch").remove(settings["scratch"])
        return status
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    ours.close()
    confine_child(settings, childs, private=private)
    sys.path += settings["site"]  # behind all else, and without the site module: no .pth is run
    serve = importlib.import_module("tasks.rollout.worker.serve")
    serve.serve(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
