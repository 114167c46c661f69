"""Wheels that behave, wheels that do not, and bundles that carry them."""

import base64
import hashlib
import stat
import zipfile
from pathlib import Path

from lineage.digest import digest_file
from lineage.wheels import FOLDER, LOCK, Lock, LockedWheel, write_lock
from tests.support.bundles import write_bundle


def write_wheel(folder, name="tally", files=None, *, tag="py3-none-any", version="1.0", **odd):
    """Write a wheel and return its path.

    ``files`` maps paths to texts. ``odd`` makes it hostile: ``record`` replaces RECORD's lines of
    some files, ``unrecorded`` files are left out there, ``links`` maps names to targets,
    ``metadata`` is more of METADATA.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    said = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{odd.get('metadata', '')}\n"
    held = dict(
        files if files is not None else {f"{name}.py": "def add(a, b):\n    return a + b\n"}
    )
    held |= {f"{info}/METADATA": said, f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n"}
    lines = {entry: f"{entry},{_hash(text)},{len(text)}" for entry, text in held.items()}
    lines |= odd.get("record", {})
    for entry in odd.get("unrecorded", ()):
        del lines[entry]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, text in held.items():
            archive.writestr(entry, text)
        for entry, target in odd.get("links", {}).items():
            link = zipfile.ZipInfo(entry)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, target)
            lines[entry] = f"{entry},{_hash(target)},{len(target)}"
        archive.writestr(f"{info}/RECORD", "\n".join([*lines.values(), f"{info}/RECORD,,"]))
    return path


def locked(*paths, licenses=None):
    """Return the lock of wheels."""
    return Lock(
        tuple(
            LockedWheel(
                name=path.name.split("-")[0].replace("_", "-"),
                version=path.name.split("-")[1],
                file=path.name,
                digest=digest_file(path),
                size=path.stat().st_size,
                license=(licenses or {}).get(path.name.split("-")[0], ""),
            )
            for path in paths
        )
    )


def carry(bundle, *paths):
    """Put wheels and their lock into a bundle; return the bundle."""
    (bundle / FOLDER).mkdir(parents=True, exist_ok=True)
    for path in paths:
        (bundle / FOLDER / path.name).write_bytes(Path(path).read_bytes())
    (bundle / LOCK).write_bytes(write_lock(locked(*paths)))
    return bundle


def bundle_with(folder, *paths, **bodies):
    """Write a bundle whose methods have these bodies and that carries wheels."""
    return carry(write_bundle(folder, **bodies), *paths)


def _hash(text):
    data = text.encode() if isinstance(text, str) else text
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
