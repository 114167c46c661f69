"""Versions of Provost's platform and packages, without importing them."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from lineage.doctor.check import Check, Group

_GROUP = Group("versions")
_PACKAGES = ("provost", "torch", "transformers", "trl", "flytekit", "mlflow")
_OLDEST, _NEWEST = (3, 11), (3, 12)


def check_versions() -> list[Check]:
    """Return the checks of Python, the kernel and the packages."""
    return [
        judge_python(sys.version_info[:2], platform.python_version()),
        _GROUP.ok("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        *(check_package(name) for name in _PACKAGES),
    ]


def judge_python(found: tuple[int, int], shown: str) -> Check:
    """Return the check of Python's version."""
    if _OLDEST <= found <= _NEWEST:
        return _GROUP.ok("Python", shown)
    return _GROUP.fail("Python", shown, "install Python 3.11 or 3.12 and run `make setup` again")


def check_package(name: str) -> Check:
    """Return the check of one installed package."""
    try:
        return _GROUP.ok(name, version(name))
    except PackageNotFoundError:
        return _GROUP.fail(name, "not installed", "run `make setup`")
