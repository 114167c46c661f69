"""Checks the confinement that this machine offers for a team's code, with a trial worker."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from lineage.doctor.check import Check, Group
from tasks.rollout.client import EnvironmentFailure
from tasks.rollout.worker.client import EnvironmentWorker
from tasks.rollout.worker.limits import ConfinementError

_GROUP = Group("confinement")
_ROOT = Path(__file__).resolve().parents[2]
_PROBE_SECONDS = 10.0
_SCOPES_VERSION = 6
_ENVIRONMENT = """
from tasks.rollout.environment import Grade


class Nothing:
    max_turns = 1

    def respond(self, prompt, turns):
        return None

    def grade(self, prompt, turns):
        return Grade(1.0)


ENVIRONMENT = Nothing()
"""
_PROMPTS = """
def prompts(split, count, seed):
    return []


def demonstrations(count, seed):
    return []
"""


def check_confinement() -> list[Check]:
    """Return the checks of namespaces, Landlock, system-call filter and of a trial worker."""
    if sys.platform != "linux":
        found = f"{sys.platform} has none of Linux's confinement features"
        return [_GROUP.warn("kernel", found, "run environments of other teams on Linux")]
    return [*judge(_measured()), check_worker()]


def judge(offered: Mapping[str, int]) -> list[Check]:
    """Return the checks of what ``tasks.doctor.probe`` printed."""
    return [_namespaces(offered), _landlock(offered["landlock"]), _filter(offered)]


def check_worker() -> Check:
    """Start the confined worker with an empty bundle, and return the check of its confinement."""
    with tempfile.TemporaryDirectory(prefix="provost-doctor-") as folder:
        (Path(folder) / "environment.py").write_text(_ENVIRONMENT, "utf-8")
        (Path(folder) / "prompts.py").write_text(_PROMPTS, "utf-8")
        started = time.monotonic()
        try:
            with EnvironmentWorker(Path(folder), domain="doctor", allow_unconfined=True) as worker:
                confinement = vars(worker.confinement)
        except (EnvironmentFailure, ConfinementError) as error:
            remedy = "no environment can run here: fix the failures above"
            return _GROUP.fail("environment worker", " ".join(str(error).split()), remedy)
    return judge_worker(confinement, time.monotonic() - started)


def judge_worker(confinement: Mapping[str, bool], seconds: float) -> Check:
    """Return the check of a worker that started, with its active and missing confinement."""
    missing = [name.replace("_", " ") for name, holds in confinement.items() if not holds]
    holds = [name.replace("_", " ") for name, holds in confinement.items() if holds]
    found = f"starts in {seconds:.2f} s; {', '.join(holds) or 'no confinement'}"
    if not missing:
        return _GROUP.ok("environment worker", found)
    remedy = "allow user namespaces"
    hard = {"network cut", "files hidden"} & set(missing)
    if hard:
        remedy = "use a kernel with Landlock (Linux 5.13) and seccomp; no code of a team runs here"
    make = _GROUP.fail if hard else _GROUP.warn
    return make("environment worker", f"{found}; not: {', '.join(missing)}", remedy)


def _measured() -> dict[str, int]:
    run = subprocess.run(
        [sys.executable, "-m", "tasks.doctor.probe"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
        check=True,
    )
    found: dict[str, int] = json.loads(run.stdout)
    return found


def _namespaces(offered: Mapping[str, int]) -> Check:
    if offered["user_namespace"]:
        return _GROUP.ok("namespaces", "users, processes and network can be private")
    if offered["namespaces_as_root"]:
        return _GROUP.ok("namespaces", "processes and network can be private, for root")
    remedy = (
        "allow unprivileged user namespaces (sysctl "
        "kernel.apparmor_restrict_unprivileged_userns=0, or a seccomp profile that permits "
        "unshare); without them, Landlock and the system-call filter still confine, and leftover "
        "processes are found and ended"
    )
    return _GROUP.warn("namespaces", "refused by this kernel or container", remedy)


def _landlock(version: int) -> Check:
    if not version:
        remedy = "enable it (lsm=landlock,... at boot) or use Linux 5.13 or newer"
        return _GROUP.fail("Landlock", "not available: files of the host stay visible", remedy)
    if version < _SCOPES_VERSION:
        found = f"version {version}: files are hidden; the supervisor decides on signals"
        return _GROUP.warn("Landlock", found, "Linux 6.12 or newer has scopes for signals")
    return _GROUP.ok("Landlock", f"version {version}: files hidden, signals scoped")


def _filter(offered: Mapping[str, int]) -> Check:
    if offered["system_call_filter"]:
        return _GROUP.ok("system-call filter", "seccomp works")
    remedy = "use a kernel with CONFIG_SECCOMP_FILTER and a container that allows prctl"
    return _GROUP.fail("system-call filter", "seccomp is refused", remedy)
