"""The wheels of an environment: a PEP 751 lock with each one's name, version, hash and license.

The lock is ``pylock.toml`` in a bundle, and the wheels lie beside it in ``wheels/``. The store
keeps each wheel as a blob under its own SHA-256, so that releases share them.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tomli_w
from packaging.pylock import Package, PackageWheel, Pylock, PylockValidationError
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from lineage.digest import PREFIX, hex_of, is_digest
from lineage.errors import LineageError
from lineage.store.store import Store, files_named

LOCK = "pylock.toml"
FOLDER = "wheels"
_TOOL = "provost"
_LOCK_VERSION = Version("1.0")
_LONGEST_LICENSE = 100
_MOST_BYTES = 1 << 20


class LockError(LineageError):
    """A lock that cannot be read, or that names anything but wheels."""


@dataclass(frozen=True, order=True)
class LockedWheel:
    """One wheel of a lock."""

    name: str
    """Normalized name of the package."""
    version: str
    file: str
    """File name in ``wheels/``."""
    digest: str
    size: int
    license: str = ""
    """License as the package states it; "" if it states none."""

    @property
    def path(self) -> str:
        """Path in the bundle."""
        return f"{FOLDER}/{self.file}"

    @property
    def purl(self) -> str:
        """Package URL, by which vulnerability databases know it."""
        return f"pkg:pypi/{self.name}@{self.version}"


@dataclass(frozen=True)
class Lock:
    """What a team's requirements were resolved to."""

    wheels: tuple[LockedWheel, ...]
    requirements: str = ""
    """Digest of the requirements that were resolved; "" if the lock does not say."""


def write_lock(lock: Lock) -> bytes:
    """Return a lock as TOML; the same wheels give the same bytes."""
    packages = [
        Package(
            name=canonicalize_name(wheel.name),
            version=Version(wheel.version),
            wheels=[
                PackageWheel(
                    name=wheel.file,
                    path=wheel.path,
                    size=wheel.size,
                    hashes={"sha256": hex_of(wheel.digest)},
                )
            ],
            tool={_TOOL: {"license": wheel.license[:_LONGEST_LICENSE]}},
        )
        for wheel in sorted(lock.wheels)
    ]
    document = Pylock(
        lock_version=_LOCK_VERSION,
        created_by=_TOOL,
        packages=packages,
        tool={_TOOL: {"requirements": lock.requirements}},
    )
    return tomli_w.dumps(dict(document.to_dict())).encode()


def parse_lock(data: bytes) -> Lock:
    """Return a lock.

    Raises:
        LockError: it is no valid lock, or a package in it is not exactly one wheel with a SHA-256.
    """
    if len(data) > _MOST_BYTES:
        raise LockError(f"{LOCK} has {len(data)} bytes, more than {_MOST_BYTES}: lock it again")
    try:
        document = Pylock.from_dict(tomllib.loads(data.decode("utf-8")))
    except (PylockValidationError, ValueError, RecursionError) as error:
        raise LockError(
            f"{LOCK} is not a valid lock ({error}): delete it and run `provost teacher lock`"
        ) from error
    wheels = tuple(map(_wheel, document.packages))
    for key in ("name", "file"):
        named = [getattr(wheel, key) for wheel in wheels]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise LockError(
                f"{LOCK} names {twice[0]} twice: delete it and lock again", code="repeated"
            )
    said = (document.tool or {}).get(_TOOL, {})
    return Lock(wheels, _text(said, "requirements"))


def wheels_of(store: Store, environment: str) -> tuple[LockedWheel, ...]:
    """Return the wheels that an environment carries; none for one without a lock.

    Raises:
        LineageError: the environment or its lock cannot be read.
    """
    for file in files_named(store, environment):
        if file.path == LOCK:
            return parse_lock(store.get_bytes(file.digest)).wheels
    return ()


def wheel_in(store: Store, digest: str) -> bytes | None:
    """Return the bytes of a wheel in a store; None if it is not there."""
    return store.get_bytes(digest) if store.has(digest) else None


def _wheel(package: Package) -> LockedWheel:
    if package.version is None or package.wheels is None or len(package.wheels) != 1:
        raise LockError(
            f"{LOCK}: {package.name} is not exactly one wheel of one version: a release carries "
            "wheels, no sources and no alternatives; delete the lock and run `provost teacher lock`"
        )
    (wheel,) = package.wheels
    digest = f"{PREFIX}{wheel.hashes.get('sha256', '')}"
    try:
        name, version, _, _ = parse_wheel_filename(wheel.filename)
    except (InvalidWheelFilename, InvalidVersion, PylockValidationError) as error:
        raise LockError(f"{LOCK}: {package.name} has no wheel's file name ({error})") from error
    if (name, version) != (package.name, package.version) or not is_digest(digest):
        raise LockError(
            f"{LOCK}: {wheel.filename} does not belong to {package.name} {package.version}, or "
            "has no SHA-256: delete the lock and run `provost teacher lock`"
        )
    said = (package.tool or {}).get(_TOOL, {})
    return LockedWheel(
        name=package.name,
        version=str(package.version),
        file=wheel.filename,
        digest=digest,
        size=wheel.size or 0,
        license=_text(said, "license")[:_LONGEST_LICENSE],
    )


def _text(table: object, key: str) -> str:
    value = table.get(key, "") if isinstance(table, Mapping) else ""
    return value if isinstance(value, str) else ""


def in_words(wheels: Sequence[LockedWheel]) -> list[str]:
    """Return each wheel with its license, as a list for people shows it."""
    return [f"{w.name} {w.version} ({w.license or 'license not stated'})" for w in wheels]
