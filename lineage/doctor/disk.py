"""What the disk under a folder store offers: hard links, locks, rename, space and inodes.

Every probe works in a temporary folder that is removed again; the store itself is not touched.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lineage.doctor.check import Check, Group
from lineage.errors import StoreUnfitError
from lineage.store.probes import PROBES, Probe, can_be_made

_STORE = Group("store")


_LITTLE_SPACE_BYTES = 5 * 1024**3
_NO_SPACE_BYTES = 200 * 1024**2
_FEW_INODES = 10_000
_NETWORK = frozenset(
    "9p afs beegfs ceph cifs fuse.ceph fuse.glusterfs fuse.sshfs glusterfs gpfs lustre nfs nfs4 "
    "smb3 smbfs wekafs".split()
)
MOUNTS = Path("/proc/self/mountinfo")
"""The file in which Linux lists mounted file systems."""
_OTHER_DISK = "set PROVOST_STORE to a folder on a local disk, or on a file server that offers it"


def check_folder(root: Path, probes: Mapping[str, Probe] | None = None) -> list[Check]:
    """Return the checks of the folder ``root``, which may not exist yet.

    ``probes`` are the trials by name, by default hard links, file locks and rename.
    """
    place = existing_parent(root)
    if not os.access(place, os.W_OK | os.X_OK) or _is_read_only(place):
        return [_read_only(root, place), *check_space(place, _STORE)]
    try:
        can_be_made(root)
        with tempfile.TemporaryDirectory(prefix=".provost-doctor-", dir=place) as folder:
            tried = [
                _attempt(name, each, Path(folder)) for name, each in (probes or PROBES).items()
            ]
    except (StoreUnfitError, OSError) as error:
        return [_STORE.fail("folder", str(error), _OTHER_DISK), *check_space(place, _STORE)]
    state = "" if root.is_dir() else " (does not exist yet; the first write makes it)"
    return [_STORE.ok("folder", f"{root} can be written{state}"), *tried, *check_space(place)]


def check_space(place: Path, group: Group = _STORE) -> list[Check]:
    """Return the checks of free bytes and free inodes of the disk under ``place``."""
    free = shutil.disk_usage(place).free
    shown = f"{free / 1e9:.1f} GB free under {place}"
    remedy = "free space; `provost lineage gc` shows what the store no longer needs"
    space = group.ok("disk space", shown)
    if free < _LITTLE_SPACE_BYTES:
        make = group.fail if free < _NO_SPACE_BYTES else group.warn
        space = make("disk space", shown, remedy)
    status = os.statvfs(place)
    few = status.f_files > 0 and status.f_favail < _FEW_INODES
    found = f"{status.f_favail:,} free" if status.f_files else "not limited on this disk"
    inodes = (
        group.warn("inodes", found, "remove files, or use a disk with more inodes")
        if few
        else group.ok("inodes", found)
    )
    return [space, inodes]


def network_disk(place: Path, mounts: Path = MOUNTS) -> str:
    """Return the kind of network file system that ``place`` is on; "" for a local disk.

    It is also "" where the system does not list its mounts.
    """
    try:
        lines = mounts.read_text("utf-8").splitlines()
    except OSError:
        return ""
    found = (Path("/"), "")
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].replace("\\040", " "))
        if place.absolute().is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = (point, after.split()[0])
    return found[1] if found[1] in _NETWORK else ""


def existing_parent(path: Path) -> Path:
    """Return ``path``, or the nearest folder above it that exists."""
    folder = path.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _read_only(root: Path, place: Path) -> Check:
    remedy = (
        "reading and verifying work; to write, open it as its owner, mount it writable, or set "
        "PROVOST_STORE to another folder"
    )
    if not root.is_dir():
        return _STORE.fail("folder", f"{root} does not exist and {place} is read-only", remedy)
    return _STORE.warn("folder", f"{root} is read-only for this user", remedy)


def _is_read_only(place: Path) -> bool:
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def _attempt(name: str, probe: Probe, folder: Path) -> Check:
    def work() -> str:
        probe.work(folder)
        return "works"

    return _STORE.attempt(name, f"{probe.why}; {_OTHER_DISK}", work)
