"""The confined process of ``tasks.rollout.worker``: started as a script, never imported.

Standard library only, and few modules of it: this decides how fast a worker starts. It runs
without site-packages, so a team's bundle finds the standard library and ``tasks.rollout``.
"""

import importlib
import json
import os
import select
import shutil
import signal
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

OURS = ("confine", "calls", "serve", "client", "prompts", "environment", "sandbox", "foreign")
_WAIT_SECONDS = 0.5


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
                f"{fullname} is not there: a bundle imports the standard library, "
                "tasks.rollout.environment and tasks.rollout.sandbox"
            )
        # By file, because the folder that holds it must not be readable.
        file = self._modules.get(fullname)
        return spec_from_file_location(fullname, file) if file else None


def supervise(child: int, parent: int) -> int:
    """Wait for the child and return its exit status; end it when the parent dies or asks us to.

    The parent's process id is watched because PR_SET_PDEATHSIG would fire as soon as the *thread*
    that started this process ends.
    """
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    watched = [os.pidfd_open(child)] if sys.platform == "linux" else []
    if watched and os.getppid() == parent:
        watched.append(os.pidfd_open(parent))
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            end_orphans()
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if os.getppid() != parent:
            os.kill(child, signal.SIGKILL)
        select.select(watched, [], [], _WAIT_SECONDS)


def end_orphans() -> None:
    """End what the child started and left behind; nothing where process ids were private."""
    mine = Path(f"/proc/self/task/{os.getpid()}/children")
    while mine.exists() and (orphans := mine.read_text().split()):
        for orphan in map(int, orphans):
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, 0)


def main() -> int:
    """Confine this process, then serve the bundle; argument 1 is the settings as JSON."""
    settings = json.loads(sys.argv[1])
    parent = settings["parent"]
    sys.meta_path.insert(0, BundleFinder(settings["modules"]))
    confine = importlib.import_module("tasks.rollout.confine")
    calls = importlib.import_module("tasks.rollout.calls")
    private = confine.leave_namespaces()
    confine.adopt_orphans()
    # Held back until there is a handler: who ends us in between must not leave the child behind.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child:
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        status = supervise(child, parent)
        if os.getppid() != parent:
            shutil.rmtree(settings["scratch"], ignore_errors=True)
        return status
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    confine.die_with_parent()
    os.environ["TMPDIR"] = settings["scratch"]
    limits = settings["limits"]
    if not confine.counts_own_processes(private=private):
        del limits["NPROC"]
    confine.limit_resources(limits)
    confine.drop_privileges()
    readable = [*settings["readable"], *sys.path, f"{sys.base_prefix}/lib"]
    hidden = confine.hide_files(readable, settings["scratch"])
    scoped = private or (hidden and confine.scopes_signals())
    filtered = calls.filter_system_calls(signals=scoped)
    serve = importlib.import_module("tasks.rollout.serve")
    serve.serve(
        settings,
        {
            "network_cut": private or filtered,
            "files_hidden": hidden,
            "processes_private": private,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
