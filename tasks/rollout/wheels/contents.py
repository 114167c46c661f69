"""The contents of one wheel, which may be hostile: paths and sizes, then bytes, before any use.

A wheel is a zip file that says of each of its files which bytes it has (RECORD). An installer
would also make scripts and copy data into the system; an environment needs neither.
"""

import base64
import csv
import email.parser
import email.policy
import hashlib
import io
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from lineage.errors import RefusedFileError
from lineage.store.admission import check_paths
from tasks.contracts.refusal import RefusedError

OURS = frozenset({"tasks", "pydantic_monty"})
"""Modules of the worker that a wheel must not bring too."""
_MOST_FILES = 20_000
_MOST_BYTES = 1 << 30
_BOMB_BYTES, _BOMB_RATIO = 64 << 20, 100
"""A larger wheel may not unpack to more than that many times its size. Text shrinks to a tenth."""
_HASHES = ("sha256", "sha384", "sha512")
_UNHASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_LIBRARIES = ("purelib", "platlib")
_CHUNK_BYTES = 1 << 20
_UNREADABLE = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, RuntimeError)
_LONGEST_METADATA = 4 << 20
_SHORT_LICENSE = 60


def refuse_hostile(wheel: str, what: str) -> RefusedError:
    """Return the refusal of a wheel that is not what a wheel should be."""
    return RefusedError(
        "hostile-wheel",
        f"{wheel}: {what}. Nothing of it was unpacked: take the package's wheel from an index that "
        "you trust, or leave the package out",
    )


@dataclass(frozen=True)
class Wheel:
    """A wheel's files and what it says of itself."""

    path: Path
    name: str
    version: str
    infos: Mapping[str, zipfile.ZipInfo]
    """Each file's entry, by the path that it is unpacked to."""
    hashes: Mapping[str, tuple[str, bytes]]
    """Algorithm and hash of each file, by the same path."""
    metadata: Mapping[str, list[str]] = field(default_factory=dict)
    """Fields of METADATA, by lower-case name."""

    @cached_property
    def modules(self) -> frozenset[str]:
        """Top-level names that can be imported from it."""
        return frozenset(filter(str.isidentifier, map(_top, self.infos)))

    @property
    def license(self) -> str:
        """License as the package states it; "" if it states none."""
        given = self.metadata
        for text in (*given.get("license-expression", []), *given.get("license", [])):
            first = text.strip().splitlines()[0].strip() if text.strip() else ""
            if first and first != "UNKNOWN" and len(first) <= _SHORT_LICENSE:
                return first
        named = [text for text in given.get("classifier", []) if text.startswith("License ::")]
        return ", ".join(text.rpartition("::")[2].strip() for text in named)

    @property
    def requires_python(self) -> str:
        """Versions of Python that it runs under; "" for all."""
        return ", ".join(self.metadata.get("requires-python", []))


def read_wheel(path: Path) -> Wheel:
    """Return what a wheel holds; ``verify_bytes`` compares the files with their hashes.

    Raises:
        RefusedError: ``hostile-wheel`` for paths outside its folder, symlinks, encrypted or
            repeated entries, sizes beyond reason, and a RECORD that names other files;
            ``shadowing-wheel`` for a module of Python or of the worker.
    """
    name, version, _, _ = parse_wheel_filename(path.name)
    with _readable(path) as archive:
        infos = _entries(path, archive)
        wheel = _described(path, archive, infos, str(name), str(version))
    shadowed = sorted(wheel.modules & (sys.stdlib_module_names | OURS))
    if shadowed:
        raise RefusedError(
            "shadowing-wheel",
            f"{path.name} brings a module {shadowed[0]!r}, which is Python's or the worker's own: "
            "imports would depend on the order of folders; leave the package out, or take a "
            "version without that module",
        )
    return wheel


def verify_bytes(wheel: Wheel) -> None:
    """Compare each file of a wheel with its hash in RECORD.

    Raises:
        RefusedError: ``hostile-wheel`` for a file that RECORD contradicts.
    """
    with _readable(wheel.path) as archive:
        for target, (algorithm, expected) in wheel.hashes.items():
            found = hashlib.new(algorithm)
            with archive.open(wheel.infos[target]) as source:
                while chunk := source.read(_CHUNK_BYTES):
                    found.update(chunk)
            if found.digest() != expected:
                raise refuse_hostile(wheel.path.name, f"{target!r} is not what RECORD says of it")


@contextmanager
def _readable(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a wheel; whatever zipfile cannot read is refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _UNREADABLE as error:
        raise refuse_hostile(path.name, f"it is not a readable zip file ({error})") from error


def _entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries that are files, by name, after the checks on names and sizes."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > _MOST_FILES:
        raise refuse_hostile(path.name, f"it holds {len(infos)} files, more than {_MOST_FILES}")
    total, size = sum(info.file_size for info in infos), path.stat().st_size
    if total > _MOST_BYTES or (total > _BOMB_BYTES and total > _BOMB_RATIO * size):
        raise refuse_hostile(path.name, f"its {size} bytes would unpack to {total} bytes")
    for info in infos:
        mode = info.external_attr >> 16
        # Made on another system than Unix, an entry has no mode.
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise refuse_hostile(path.name, f"{info.filename[:200]!r} is a link or a device")
        if info.flag_bits & 1:
            raise refuse_hostile(path.name, f"{info.filename[:200]!r} is encrypted")
        # zipfile replaces what the file system of this machine would not take.
        if info.orig_filename != info.filename:
            raise refuse_hostile(path.name, f"{info.orig_filename[:200]!r} is no plain path")
    names = [info.filename for info in infos]
    _check_names(path, names)
    return dict(zip(names, infos, strict=True))


def _check_names(path: Path, names: list[str]) -> None:
    """Refuse paths outside the folder, and two that one folder cannot hold together."""
    try:
        check_paths(names)
    except RefusedFileError as error:
        raise refuse_hostile(path.name, str(error)) from error


def _described(
    path: Path,
    archive: zipfile.ZipFile,
    infos: Mapping[str, zipfile.ZipInfo],
    name: str,
    version: str,
) -> Wheel:
    folders = {PurePosixPath(entry).parts[0] for entry in infos if "/" in entry}
    (*described,) = (folder for folder in folders if folder.endswith(".dist-info"))
    if len(described) != 1:
        raise refuse_hostile(path.name, f"it has {len(described)} .dist-info folders instead of 1")
    folder = described[0]
    for needed in ("METADATA", "RECORD", "WHEEL"):
        if f"{folder}/{needed}" not in infos:
            raise refuse_hostile(path.name, f"{folder}/{needed} is missing")
    fields = _fields(path, archive, infos[f"{folder}/METADATA"])
    said = canonicalize_name("".join(fields.get("name", []))), "".join(fields.get("version", []))
    if said[0] != name or not _same_version(said[1], version):
        raise refuse_hostile(path.name, f"its METADATA says {said[0]} {said[1]}")
    hashes = _hashes(path, folder, infos, _recorded(path, archive, infos[f"{folder}/RECORD"]))
    moved = list(_targets(infos))
    _check_names(path, [target for target, _ in moved])
    targets = dict(moved)
    return Wheel(
        path,
        name,
        version,
        {target: infos[entry] for target, entry in targets.items()},
        {target: hashes[entry] for target, entry in targets.items() if entry in hashes},
        fields,
    )


def _hashes(
    path: Path,
    folder: str,
    infos: Mapping[str, zipfile.ZipInfo],
    recorded: Mapping[str, tuple[str, bytes]],
) -> dict[str, tuple[str, bytes]]:
    """Return the recorded hash of each entry but RECORD itself, which must name them all."""
    hashed = [entry for entry in infos if entry not in {f"{folder}/{name}" for name in _UNHASHED}]
    unnamed = [entry for entry in hashed if entry not in recorded]
    if unnamed:
        raise refuse_hostile(path.name, f"RECORD does not name {unnamed[0]!r}")
    missing = sorted(recorded.keys() - infos.keys())
    if missing:
        raise refuse_hostile(path.name, f"RECORD names {missing[0]!r}, which it does not hold")
    return {entry: recorded[entry] for entry in hashed}


def _targets(infos: Mapping[str, zipfile.ZipInfo]) -> Iterator[tuple[str, str]]:
    """Yield the path that each entry is unpacked to; scripts, data and .pth files to none."""
    for entry in infos:
        parts = PurePosixPath(entry).parts
        if parts[0].endswith(".data"):
            if len(parts) < 3 or parts[1] not in _LIBRARIES:
                continue
            parts = parts[2:]
        if len(parts) == 1 and parts[0].endswith(".pth"):  # Python would run its lines at a start
            continue
        yield "/".join(parts), entry


def _fields(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, list[str]]:
    text = _small(path, archive, info).decode("utf-8", "replace")
    message = email.parser.HeaderParser(policy=email.policy.compat32).parsestr(text)
    fields: dict[str, list[str]] = {}
    for key, value in message.items():
        fields.setdefault(key.lower(), []).append(str(value))
    return fields


def _recorded(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> dict[str, tuple[str, bytes]]:
    """Return RECORD's hash of each file; signatures and RECORD itself have none."""
    text = _small(path, archive, info).decode("utf-8", "replace")
    found = {}
    for row in csv.reader(io.StringIO(text)):
        if not row or PurePosixPath(row[0]).name in _UNHASHED:
            continue
        algorithm, _, value = (row[1] if len(row) > 1 else "").partition("=")
        if algorithm not in _HASHES:
            raise refuse_hostile(path.name, f"RECORD has no SHA-256 of {row[0][:200]!r}")
        try:
            found[row[0]] = algorithm, base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        except ValueError as error:
            raise refuse_hostile(path.name, f"RECORD has a broken hash ({error})") from error
    return found


def _small(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > _LONGEST_METADATA:
        raise refuse_hostile(path.name, f"{info.filename} has {info.file_size} bytes")
    return archive.read(info)


def _same_version(said: str, version: str) -> bool:
    try:
        return Version(said) == Version(version)
    except InvalidVersion:
        return False


def _top(target: str) -> str:
    """Return the module that a path belongs to at the top; "" for none."""
    first, _, rest = target.partition("/")
    if rest:
        return "" if first.endswith(".dist-info") else first
    stem, _, suffix = first.partition(".")
    return stem if suffix.rpartition(".")[2] in {"py", "so", "pyd", "pyc"} else ""
