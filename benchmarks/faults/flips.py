"""One flipped byte in a finished store: verification must name the file. 50 positions a row."""

import random
import shutil
import tempfile
from pathlib import Path

from benchmarks.faults.homes import SMOKE, undisturbed
from lineage.errors import LineageError
from lineage.graph.graph import Lineage
from lineage.operations.verify import Verifier
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore

POSITIONS = 50


class _Recording(FolderStore):
    """A store that knows which blobs were hashed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.hashed: set[str] = set()

    def check(self, digest: str) -> int:
        """See Store."""
        self.hashed.add(digest)
        return super().check(digest)


def _reached(store: _Recording, record: str) -> list[Path]:
    """Return the files on which a student rests: its blobs, its family's slots, the trust root."""
    root = Path(store.uri)
    family = {record, *Lineage(store).ancestors(record)}
    hexes = {item.removeprefix("sha256:") for item in family}
    found = [
        path
        for path in sorted((root / "keys").rglob("*"))
        if path.is_file() and (path.parent.name in hexes or path.parent.name == "trust")
    ]
    Verifier(store).verify(record)
    return found + [store.blobs.path(digest) for digest in sorted(store.hashed | family)]


def trial(seed: int) -> dict[str, object]:
    """Flip a byte at 50 random places, one at a time; return those that went unnoticed."""
    rng = random.Random(seed)
    violations = []
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "store"
        shutil.copytree(undisturbed(SMOKE)[0] / "store", copy, symlinks=True)
        store = _Recording(copy)
        record = Registry(store).resolve(SMOKE.student).record
        files = _reached(store, record)
        for _ in range(POSITIONS):
            path = rng.choice(files)
            data = bytearray(path.read_bytes())
            if not data:
                continue
            where = rng.randrange(len(data))
            data[where] ^= 1 << rng.randrange(8)
            good = path.read_bytes()
            path.chmod(0o644)
            path.write_bytes(data)
            named = path.relative_to(copy).as_posix()
            if not _noticed(FolderStore(copy), record, path):
                violations.append(f"{named} at {where}")
            path.write_bytes(good)
    return {"trials": POSITIONS, "violations": violations}


def _noticed(store: FolderStore, record: str, path: Path) -> bool:
    """Return whether verification fails and names the file, or the digest that is its name."""
    wanted = path.name if len(path.name) > 8 else path.parent.name
    try:
        problems = Verifier(store).verify(record).problems
    except LineageError as error:
        return wanted in str(error)
    return any(wanted in f"{problem.subject} {problem.what}" for problem in problems)
