"""Requirements to wheels, by pip's own resolver: on the team's machine, once, before a release."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lineage.digest import digest_file, hex_of
from lineage.wheels import Lock, LockedWheel
from tasks.contracts.refusal import RefusedError
from tasks.rollout.foreign import cut
from tasks.rollout.wheels.bundled import refuse_foreign, refuse_other_python
from tasks.rollout.wheels.contents import read_wheel, verify_bytes
from tasks.rollout.wheels.requirements import (
    REQUIREMENTS,
    read_requirements,
    requirements_digest,
)

_LONGEST_ANSWER = 1500


def resolve(path: Path, into: Path, *, links: Path | None, dependencies: bool) -> Lock:
    """Download the wheels that a requirements file resolves to, and return their lock.

    Args:
        path: Requirements file of a team.
        into: Empty folder for the wheels.
        links: Folder with wheels of your own, which pip searches too.
        dependencies: Whether the dependencies of the packages are taken too.

    Raises:
        RefusedError: ``bad-requirement``; ``unresolved-requirements`` where pip finds no wheels
            that fit together; and what ``read_wheel`` and ``refuse_foreign`` refuse.
    """
    required = read_requirements(path)
    options = ["--requirement", str(path)]
    options += [] if dependencies else ["--no-deps"]
    _download(options, into, links)
    wheels = tuple(sorted(map(_locked, into.iterdir())))
    refuse_foreign(wheels)
    return Lock(wheels, requirements_digest(required))


def fetch(lock: Lock, into: Path, *, links: Path | None) -> None:
    """Download exactly the wheels of a lock, by name, version and hash."""
    pins = into / REQUIREMENTS
    pins.write_text(
        "".join(f"{w.name}=={w.version} --hash=sha256:{hex_of(w.digest)}\n" for w in lock.wheels)
    )
    _download(["--requirement", str(pins), "--no-deps", "--require-hashes"], into, links)
    pins.unlink()


def _download(options: Sequence[str], into: Path, links: Path | None) -> None:
    command = [sys.executable, "-m", "pip", "download", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(into)]
    command += ["--find-links", str(links)] if links is not None else []
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise _unresolved(done.stderr)


def _unresolved(said: str) -> RefusedError:
    if "No module named pip" in said:
        return RefusedError(
            "no-pip",
            f"{sys.executable} has no pip, which resolves requirements: run "
            f"`{sys.executable} -m ensurepip`, or install pip with what made this environment",
        )
    errors = [line for line in said.splitlines() if line.startswith("ERROR")] or [said.strip()]
    return RefusedError(
        "unresolved-requirements",
        f"pip finds no wheels that fit together. {cut(' '.join(errors), _LONGEST_ANSWER)} A "
        "release carries no sources: build the wheel of a package that is published as source "
        "only (`pip wheel --no-deps PACKAGE --wheel-dir FOLDER`) and give --find-links FOLDER, or "
        "list all needed packages and give --no-deps",
    )


def _locked(path: Path) -> LockedWheel:
    wheel = read_wheel(path)
    verify_bytes(wheel)
    refuse_other_python(path.name, wheel.requires_python)
    return LockedWheel(
        name=wheel.name,
        version=wheel.version,
        file=path.name,
        digest=digest_file(path),
        size=path.stat().st_size,
        license=wheel.license,
    )
