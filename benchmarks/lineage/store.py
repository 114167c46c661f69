"""Put and get of a 1 GiB checkpoint against a plain copy that also hashes.

Once as four safetensors files of 256 MiB, which the store takes on several threads, and once as one
file of 1 GiB, where that does not help. The plain copy reads, hashes, writes and flushes
each file to the disk, one after the other on one thread, as a careful script would. Rounds
alternate, and the medians are compared. ``get`` is the first ``tree`` of a new process's store: it
hashes every blob.

    python -m benchmarks.lineage.store --out benchmarks/results/lineage_store.json
"""

import hashlib
import json
import os
import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from benchmarks.common.circumstances import facts, options, write
from lineage.store.scratch import remove
from lineage.store.store import FolderStore

Parameters = ParamSpec("Parameters")
TOTAL_BYTES, ROUNDS, CHUNK = 1 << 30, 5, 4 << 20


def make_checkpoint(folder: Path, seed: int, num_files: int) -> Path:
    """Write 1 GiB as safetensors files; another seed gives other bytes."""
    file_bytes = TOTAL_BYTES // num_files
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    for number in range(num_files):
        header = json.dumps(
            {"w": {"dtype": "U8", "shape": [file_bytes], "data_offsets": [0, file_bytes]}}
        ).encode()
        with (folder / f"model-{number}.safetensors").open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            block = hashlib.sha256(b"%d %d" % (seed, number)).digest() * (CHUNK // 32)
            for place in range(file_bytes // CHUNK):
                file.write(struct.pack("<Q", place) + block[8:])
    return folder


def copy_and_hash(source: Path, target: Path) -> None:
    """Copy a folder the plain way, with SHA-256 and a flush to the disk for each file."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        digest = hashlib.sha256()
        with path.open("rb") as reader, (target / path.name).open("wb") as out:
            while piece := reader.read(CHUNK):
                digest.update(piece)
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())


def timed(
    work: Callable[Parameters, object], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> float:
    """Return the seconds that ``work`` takes, after earlier writes have reached the disk."""
    os.sync()
    start = time.perf_counter()
    work(*args, **kwargs)
    return time.perf_counter() - start


def _get(store: Path, digest: str) -> Path:
    return FolderStore(store).tree(digest)


def measure(folder: Path, num_files: int) -> dict[str, object]:
    """Return the seconds of each round, and how the medians compare."""
    plain_in, plain_out, put, get, again = [], [], [], [], []
    for number in range(ROUNDS):
        work = Path(tempfile.mkdtemp(dir=folder))
        source = make_checkpoint(work / "source", number, num_files)
        plain_in.append(timed(copy_and_hash, source, work / "plain"))
        store = FolderStore(work / "store")
        put.append(timed(store.put_tree, source))
        digest = store.put_tree(source)
        plain_out.append(timed(copy_and_hash, work / "plain", work / "back"))
        get.append(timed(_get, work / "store", digest))
        again.append(timed(store.put_tree, source))
        remove(work)
    return {
        "plain_copy_with_hash_seconds": [round(x, 3) for x in plain_in],
        "put_seconds": [round(x, 3) for x in put],
        "plain_copy_back_with_hash_seconds": [round(x, 3) for x in plain_out],
        "get_seconds": [round(x, 3) for x in get],
        "put_again_seconds": [round(x, 3) for x in again],
        "put_speed_over_plain": round(statistics.median(plain_in) / statistics.median(put), 2),
        "get_speed_over_plain": round(statistics.median(plain_out) / statistics.median(get), 2),
    }


def main() -> None:
    """Measure and write the result."""
    given, circumstances = options(__doc__), facts()
    given.folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "gib": TOTAL_BYTES / (1 << 30),
        "rounds": ROUNDS,
        "seeds": list(range(ROUNDS)),
        "four_files": measure(given.folder, 4),
        "one_file": measure(given.folder, 1),
        "target": "speeds at least 0.9",
    }
    write(given.out, figures, circumstances)


if __name__ == "__main__":
    main()
