"""The wheels of a bundle, compared with its lock and with this machine."""

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from lineage.artifacts import Artifact
from lineage.compatibility.checks import Finding
from lineage.digest import digest_file
from lineage.store.store import Store
from lineage.wheels import (
    FOLDER,
    LOCK,
    Lock,
    LockedWheel,
    LockError,
    in_words,
    parse_lock,
    wheels_of,
)
from tasks.contracts.refusal import RefusedError
from tasks.rollout.wheels.cache import unpacked
from tasks.rollout.wheels.contents import read_wheel
from tasks.rollout.wheels.requirements import (
    REQUIREMENTS,
    read_requirements,
    requirements_digest,
)


def locked_wheels(bundle: Path) -> tuple[LockedWheel, ...]:
    """Return the wheels of a bundle's lock, each of which is there; none without a lock.

    Raises:
        RefusedError: ``bad-lock``, ``wheel-outside-lock``, ``missing-wheel``, ``other-wheel``
            (its bytes have another hash) or ``foreign-wheel``.
    """
    folder, lock = bundle / FOLDER, _lock_of(bundle / LOCK)
    wheels = lock.wheels if lock else ()
    named = {wheel.file for wheel in wheels}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name not in named:
            raise RefusedError(
                "wheel-outside-lock",
                f"{path.name} is in {FOLDER}/ but {LOCK} does not name it, so its hash is not "
                "known: add the package to requirements.txt and run `provost teacher lock`",
            )
    for wheel in wheels:
        _check_file(bundle / wheel.path, wheel)
    refuse_foreign(wheels)
    return wheels


def refuse_foreign(wheels: Sequence[LockedWheel]) -> None:
    """Refuse a wheel that was built for another platform or another Python.

    Raises:
        RefusedError: ``foreign-wheel``, naming the wheel and this machine.
    """
    here = frozenset(sys_tags()) if wheels else frozenset()
    for wheel in wheels:
        _, _, _, tags = parse_wheel_filename(wheel.file)
        if tags.isdisjoint(here):
            raise _foreign(wheel.file, f"it is built for {', '.join(sorted(map(str, tags))[:3])}")


def site_folders(bundle: Path, cache: Path) -> list[str]:
    """Return the folders that a bundle's wheels are imported from, in the order of the lock.

    Raises:
        RefusedError: see ``locked_wheels`` and ``read_wheel``.
    """
    folders = []
    for wheel in locked_wheels(bundle):
        contents = read_wheel(bundle / wheel.path)
        refuse_other_python(wheel.file, contents.requires_python)
        folders.append(str(unpacked(contents, wheel.digest, cache)))
    return folders


def modules_of(bundle: Path) -> frozenset[str]:
    """Return the top-level modules of a bundle's wheels, which its files may import."""
    wheels = locked_wheels(bundle)
    return frozenset().union(*(read_wheel(bundle / wheel.path).modules for wheel in wheels))


def carried(store: Store, reference: str, environment: Artifact) -> Iterator[Finding]:
    """Yield what a release's environment carries, and a finding where it does not run here.

    It is found before anything trains; in the worker it would be found at the first rollout.
    """
    wheels = wheels_of(store, environment.digest)
    if wheels:
        yield Finding(
            "carried-packages",
            "note",
            reference,
            f"the environment of {reference} carries {len(wheels)} packages, which run in the "
            f"confined worker alone: {', '.join(in_words(wheels))}",
            "no action",
        )
    try:
        refuse_foreign(wheels)
    except RefusedError as error:
        yield Finding(
            error.code,
            "refusal",
            reference,
            f"the environment of {reference} cannot grade on this machine: {error}",
            "run where it can, or ask its owner to lock pure Python wheels and release again",
        )


def add_wheels(source: Path, bundle: Path, wheel: Callable[[str], bytes | None]) -> frozenset[str]:
    """Copy a team's lock and its wheels into a bundle; return the modules that may be imported.

    Raises:
        RefusedError: ``requirements-not-locked`` without a lock, or with one of other
            requirements; ``missing-wheel`` where ``wheel`` has none; and what ``locked_wheels``
            refuses.
    """
    required, lock = source / REQUIREMENTS, source / LOCK
    if not required.exists() and not lock.exists():
        return frozenset()
    locked = _lock_of(lock)
    said = requirements_digest(read_requirements(required)) if required.exists() else ""
    if said and (locked is None or locked.requirements not in ("", said)):
        raise RefusedError(
            "requirements-not-locked",
            f"{required} is {'newer than its lock' if locked else 'not locked'}: which wheels a "
            "release carries is decided once, before it; run `provost teacher lock TEAM`",
        )
    assert locked is not None
    (bundle / FOLDER).mkdir(parents=True, exist_ok=True)
    for each in locked.wheels:
        data = wheel(each.digest)
        if data is None:
            raise _missing(each)
        (bundle / each.path).write_bytes(data)
    (bundle / LOCK).write_bytes(lock.read_bytes())
    return modules_of(bundle)


def refuse_other_python(file: str, required: str) -> None:
    """Refuse a wheel for versions of Python that this one is not among."""
    try:
        allowed = SpecifierSet(required)
        if allowed.contains(platform.python_version(), prereleases=True):
            return
    except InvalidSpecifier:
        return  # an old package's own words; its tags decide
    raise _foreign(file, f"it requires Python {required}")


def _lock_of(path: Path) -> Lock | None:
    try:
        return parse_lock(path.read_bytes()) if path.is_file() else None
    except LockError as error:
        raise RefusedError("bad-lock", str(error)) from error


def _missing(wheel: LockedWheel) -> RefusedError:
    return RefusedError(
        "missing-wheel",
        f"{LOCK} names {wheel.file}, which is not here: run `provost teacher lock TEAM`, which "
        "fetches the wheels of the lock into the store",
    )


def _check_file(path: Path, wheel: LockedWheel) -> None:
    if not path.is_file() or path.is_symlink():
        raise _missing(wheel)
    found = digest_file(path)
    if found != wheel.digest:
        raise RefusedError(
            "other-wheel",
            f"{wheel.file} is {found}, but {LOCK} names {wheel.digest}: it was changed or comes "
            "from another index; remove it and run `provost teacher lock`",
        )


def _foreign(file: str, why: str) -> RefusedError:
    here = f"Python {platform.python_version()} on {sys.platform} {platform.machine()}"
    return RefusedError(
        "foreign-wheel",
        f"{file} does not run here: {why}, and this is {here}. Use the platform that the release "
        "was locked for, or ask its owner to lock a pure Python wheel (py3-none-any)",
    )
