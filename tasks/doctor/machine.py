"""What this machine has: versions, cores, memory, threads, how they wait, the temporary folder."""

import os
import platform
import resource
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from lineage.doctor.check import Check, Group
from lineage.doctor.disk import check_space

_GROUP = Group("machine")
_CGROUP = Path("/sys/fs/cgroup")
_LITTLE_MEMORY_BYTES = 3 * 1024**3
"""The demo's processes take 2.25 GiB together at their peak."""
_FEW_THREADS = 200
"""Left to this user: an environment worker takes a few, a torch process one for each core."""
_DEMO_CORES = 2


def check_machine() -> list[Check]:
    """Return the checks of this machine's resources."""
    memory = min(psutil.virtual_memory().available, _cgroup_room("memory"))
    return [
        judge_cores(_cores()),
        judge_memory(memory),
        judge_threads(threads_in_use(os.getuid()), _thread_limit()),
        judge_openmp(os.environ, _cores()),
        *_temporary_folder(),
    ]


def judge_cores(cores: float) -> Check:
    """Return the check of the number of cores that this process may use."""
    if cores < _DEMO_CORES:
        remedy = "the demo's times hold for two cores; expect proportionally longer ones"
        return _GROUP.warn("cores", f"{cores:g}", remedy)
    return _GROUP.ok("cores", f"{cores:g}")


def judge_memory(available: float) -> Check:
    """Return the check of the memory (bytes) that is free for this process."""
    found = f"{available / 1024**3:.1f} GiB available"
    if available < _LITTLE_MEMORY_BYTES:
        remedy = "the demo takes 2.3 GiB: end other programs, or `provost demo --processes 1`"
        return _GROUP.warn("memory", found, remedy)
    return _GROUP.ok("memory", found)


def judge_threads(used: int, limit: float) -> Check:
    """Return the check of threads in use against the limit of this user or container."""
    if limit == float("inf"):
        return _GROUP.ok("threads", f"{used} in use, no limit")
    found = f"{used} in use of {limit:.0f}"
    if limit - used < _FEW_THREADS:
        remedy = "raise `ulimit -u` or the container's pids limit, or end other programs"
        return _GROUP.warn("threads", found, remedy)
    return _GROUP.ok("threads", found)


def judge_openmp(variables: Mapping[str, str], cores: float) -> Check:
    """Return the check of the number of OpenMP threads and of their wait policy."""
    policy = variables.get("OMP_WAIT_POLICY", "").lower()
    threads = variables.get("PROVOST_THREADS") or variables.get("OMP_NUM_THREADS") or "1"
    found = f"{threads} threads a process, wait policy {policy or 'not set'}"
    if threads.isdecimal() and int(threads) <= 1:
        return _GROUP.ok("OpenMP", found)
    if policy == "active":
        remedy = "unset OMP_WAIT_POLICY or set it to passive: waiting threads take whole cores"
        return _GROUP.warn("OpenMP", found, remedy)
    if not threads.isdecimal() or int(threads) > max(cores, 1):
        remedy = f"set OMP_NUM_THREADS and PROVOST_THREADS to at most {max(int(cores), 1)}"
        return _GROUP.warn("OpenMP", found, remedy)
    return _GROUP.ok("OpenMP", found)


def threads_in_use(uid: int) -> int:
    """Return the number of threads of all processes of a user, as the kernel counts them."""
    found = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        if uids is not None and uids.real == uid:
            found += process.info["num_threads"] or 0
    return found


def _thread_limit() -> float:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    own = float("inf") if soft == resource.RLIM_INFINITY or os.getuid() == 0 else float(soft)
    return min(own, _cgroup_number("pids.max"))


def _cores() -> float:
    """Return the cores of this process's affinity, or fewer if the container has a quota."""
    affinity = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else 0.0
    cores = affinity or float(os.cpu_count() or 1)
    quota, _, period = _cgroup_text("cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        cores = min(cores, int(quota) / int(period))
    return cores


def _cgroup_room(kind: str) -> float:
    return _cgroup_number(f"{kind}.max") - _used(kind)


def _used(kind: str) -> float:
    text = _cgroup_text(f"{kind}.current")
    return float(text) if text.isdecimal() else 0.0


def _cgroup_number(name: str) -> float:
    text = _cgroup_text(name)
    return float(text) if text.isdecimal() else float("inf")


def _cgroup_text(name: str) -> str:
    try:
        return (_CGROUP / name).read_text("ascii").strip()
    except OSError:
        return ""  # no cgroup, or one of version 1, without a readable limit


def _temporary_folder() -> list[Check]:
    folder = Path(tempfile.gettempdir())
    rows = check_space(folder, _GROUP)
    return [
        Check(row.group, f"temporary {row.name}", row.status, row.finding, row.remedy)
        for row in rows
    ]


_VERSIONS = Group("versions")
_PACKAGES = ("provost", "torch", "transformers", "trl", "flytekit", "mlflow")
_OLDEST, _NEWEST = (3, 11), (3, 12)


def check_versions() -> list[Check]:
    """Return the checks of Python, the kernel and the packages."""
    return [
        judge_python(sys.version_info[:2], platform.python_version()),
        _VERSIONS.ok("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        *(check_package(name) for name in _PACKAGES),
    ]


def judge_python(found: tuple[int, int], shown: str) -> Check:
    """Return the check of Python's version."""
    if _OLDEST <= found <= _NEWEST:
        return _VERSIONS.ok("Python", shown)
    return _VERSIONS.fail("Python", shown, "install Python 3.11 or 3.12 and run `make setup` again")


def check_package(name: str) -> Check:
    """Return the check of one installed package."""
    try:
        return _VERSIONS.ok(name, version(name))
    except PackageNotFoundError:
        return _VERSIONS.fail(name, "not installed", "run `make setup`")
