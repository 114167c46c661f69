"""A real S3 server that is killed, slowed, cut off or filled up while a consolidation runs on it.

The server's files lie on a file system of their own, so that it can fill up. Needs SeaweedFS and
the right to mount.
"""

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from benchmarks.faults.homes import (
    SMOKE,
    Run,
    make_teachers,
    once,
    run_python,
    student_in,
    undisturbed,
)
from benchmarks.faults.kills import whole
from benchmarks.faults.wire import Wire, wire_to
from lineage.records.record import Records
from lineage.store.s3 import Bucket
from lineage.store.s3_store import S3Store
from lineage.store.store import FolderStore
from tests.support.seaweedfs import SeaweedFS

KINDS = ("killed", "slowed", "cut off", "filled up")
_BUCKET = "store"
_URI = f"s3://{_BUCKET}/campaign"
_DISK_BYTES = 512 << 20
_SOCKETS = shutil.ignore_patterns("*.sock")
_LEFT_BYTES = 128 << 10
"""What a full disk still has: less than a checkpoint."""


@dataclass(frozen=True)
class _Remote:
    """A server, the wire to it, and the disk below it."""

    server: SeaweedFS
    wire: Wire

    @property
    def variables(self) -> dict[str, str]:
        """The variables of a run whose store is there."""
        endpoint = f"http://127.0.0.1:{self.wire.port}"
        return {
            **self.server.environment(),
            "AWS_ENDPOINT_URL": endpoint,
            "PROVOST_STORE": _URI,
        }

    def store(self, cache: Path) -> S3Store:
        """Return the store, opened anew with an empty cache."""
        os.environ.update(self.server.environment())
        return S3Store(Bucket(_BUCKET, "campaign"), _URI, cache)


@contextmanager
def _remote(folder: Path) -> Iterator[_Remote]:
    """Yield a server over the files in a folder."""
    with SeaweedFS(folder, volume_mb=16, volumes=20) as server:
        port = urlsplit(server.url).port
        assert port is not None
        with wire_to(port) as wire:
            yield _Remote(server, wire)


@contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """Yield a small file system of its own."""
    folder.mkdir()
    size = f"size={_DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _prepared() -> Path:
    """Return a folder with a server's files, in which the teachers are released, and a home."""

    def make(folder: Path) -> None:
        (folder / "server").mkdir(parents=True)
        with _remote(folder / "server") as remote:
            os.environ.update(remote.server.environment())
            boto3.client("s3").create_bucket(Bucket=_BUCKET)
            code = "from workflows.cli import main; main(['trust', 'init'])"
            run_python(code, folder / "home", remote.variables)
            make_teachers(SMOKE, folder / "home", remote.variables)
            remote.server.stop()

    return once("outages", make)


def trial(seed: int) -> dict[str, object]:
    """Let the server fail at a random moment, look, run again to the end, and compare."""
    rng, kind = random.Random(seed), KINDS[seed % len(KINDS)]
    finished, seconds = undisturbed(SMOKE)
    expected = student_in(SMOKE, FolderStore(finished / "store"))
    prepared = _prepared()
    after, lasts = rng.uniform(0, 2 * seconds), rng.uniform(0.5, 20)
    with tempfile.TemporaryDirectory() as place, _disk(Path(place) / "disk") as disk:
        home = Path(place) / "home"
        shutil.copytree(prepared / "home", home, symlinks=True)
        shutil.copytree(prepared / "server", disk / "server", ignore=_SOCKETS)
        with _remote(disk / "server") as remote:
            run = Run(SMOKE, home, remote.variables)
            time.sleep(after)
            _fail(remote, kind, lasts, disk)
            ended = run.finish()
            _recover(remote, kind, disk)
            violations = ["a traceback"] if "Traceback" in run.errors.read_text() else []
            store = remote.store(Path(place) / "cache-1")
            acknowledged, broken = whole(store)
            violations += broken
            if failed := Run(SMOKE, home, remote.variables).finish():
                violations.append(failed)
            else:
                store = remote.store(Path(place) / "cache-2")
                if (found := student_in(SMOKE, store)) != expected:
                    violations.append(f"another student: {found}, not {expected}")
                lost = acknowledged - set(Records(store).all())
                violations += [f"lost {record}" for record in sorted(lost)]
                violations += whole(store)[1]
    return {
        "trials": 1,
        "kind": kind,
        "after_seconds": round(after, 2),
        "lasts_seconds": round(lasts, 2),
        "ended": ended.strip().rpartition("\n")[2][:200],
        "records_after_the_fault": len(acknowledged),
        "violations": violations,
    }


def _fail(remote: _Remote, kind: str, lasts: float, disk: Path) -> None:
    """Let the server fail for so many seconds; a disk stays full until the run has ended."""
    if kind == "killed":
        remote.server.kill()
        time.sleep(lasts)
        remote.server.start()
    elif kind == "slowed":
        remote.wire.delay = 0.5
        time.sleep(lasts)
        remote.wire.delay = 0.0
    elif kind == "cut off":
        remote.wire.cut()
        time.sleep(lasts)
        remote.wire.mend()
    else:
        status = os.statvfs(disk)
        free = status.f_bavail * status.f_frsize
        (disk / "ballast").write_bytes(bytes(max(0, free - _LEFT_BYTES)))


def _recover(remote: _Remote, kind: str, disk: Path) -> None:
    """Make room and start the server again, as its operator would."""
    if kind == "filled up":
        (disk / "ballast").unlink()
        remote.server.kill()
        remote.server.start()
