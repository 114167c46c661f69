"""Questions about 10,000 checkpoints: building the index, catching up, and asking it.

A base, then 100 climbs of 50 rungs each from the fork point of their round, and a student of every
10 climbs that the next round forks from: 10,000 checkpoints deep and wide. Records are written
straight into the slots, without the flush to the disk that each one gets in life.

    python -m benchmarks.lineage.graph --out benchmarks/results/lineage_graph.json
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lineage.store.blobs
import lineage.store.store
from benchmarks.common.circumstances import facts, options, write
from lineage.graph.graph import Lineage
from lineage.records.record import ATTESTATIONS, Attestation, Derivation, Input, Records
from lineage.store.scratch import remove
from lineage.store.store import FolderStore
from lineage.trust.journal import Journal

NUM_CHECKPOINTS, CLIMB, TEACHERS, SEED = 10_000, 49, 4, 0
TIME = "2026-11-21T00:00:00+00:00"


def make(store: FolderStore, number: int, inputs: tuple[Input, ...], kind: str) -> Input:
    """Write one record; return its output as an input."""
    derivation = Derivation(
        kind=kind, inputs=inputs, source="", settings={"number": number}, seed=SEED
    )
    output = store.put_bytes(b"weights %d" % number)
    attestation = Attestation(
        derivation=derivation.digest(),
        output=output,
        output_kind="checkpoint",
        started=TIME,
        finished=TIME,
    )
    record = write_record(store, derivation, attestation)
    return Input(role="start", artifact=output, record=record)


def write_record(store: FolderStore, derivation: Derivation, attestation: Attestation) -> str:
    """Append a record without the checks, which read every ancestor: they are not measured here."""
    journal = Journal(store)
    project = journal.author.project
    derivation = derivation.model_copy(update={"project": project})
    digest = store.put_bytes(derivation.to_bytes())
    path = f"{ATTESTATIONS}/{digest.removeprefix('sha256:')}"
    said = attestation.model_copy(update={"derivation": digest})
    journal.slots(project, path, Attestation).append(lambda _, __: said)
    return digest


def family(store: FolderStore) -> list[str]:
    """Return the records of 10,000 checkpoints, parents first."""
    made = [make(store, 0, (), "base")]
    fork = made[0]
    while len(made) < NUM_CHECKPOINTS:
        ends = []
        for _ in range(TEACHERS):
            rung = fork
            for _ in range(CLIMB):
                rung = make(store, len(made), (rung,), "rl")
                made.append(rung)
            ends.append(rung.model_copy(update={"role": "teacher", "weight": 1 / TEACHERS}))
        fork = make(store, len(made), (fork, *ends), "mopd")
        made.append(fork)
    return [item.record for item in made[:NUM_CHECKPOINTS]]


def main() -> None:
    """Measure and write the result."""
    given, circumstances = options(__doc__), facts()
    given.folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=given.folder))
    for module in (
        lineage.store.blobs,
        lineage.store.store,
    ):  # nothing is measured that waits for the disk
        for name in ("flush", "flush_folder"):
            setattr(module, name, lambda _: None)
    store = FolderStore(work / "store")
    records = family(store)
    start = time.perf_counter()
    Lineage(store, work / "index.db")
    built = time.perf_counter() - start
    start = time.perf_counter()
    graph = Lineage(store, work / "index.db")
    opened = time.perf_counter() - start
    chance = random.Random(SEED)
    asked = [records[-1], *chance.sample(records, 30)]

    def milliseconds(question: Callable[[str], object]) -> list[float]:
        times = []
        for record in asked:
            start = time.perf_counter()
            question(record)
            times.append(1000 * (time.perf_counter() - start))
        return times

    up, down = milliseconds(graph.ancestors), milliseconds(graph.descendants)
    deepest = len(graph.ancestors(records[-1]))
    common = milliseconds(lambda r: graph.nearest_common_ancestors([r, records[-1]]))
    figures = {
        "checkpoints": len(Records(store).all()),
        "seed": SEED,
        "ancestors_of_the_last": deepest,
        "ancestors_of_the_last_milliseconds": round(up[0], 1),
        "ancestors_milliseconds_median": round(statistics.median(up), 1),
        "ancestors_milliseconds_worst": round(max(up), 1),
        "descendants_milliseconds_median": round(statistics.median(down), 1),
        "descendants_milliseconds_worst": round(max(down), 1),
        "nearest_common_ancestors_milliseconds_median": round(statistics.median(common), 1),
        "index_built_seconds": round(built, 2),
        "index_opened_up_to_date_seconds": round(opened, 2),
        "target": "ancestors at most 50 ms",
    }
    write(given.out, figures, circumstances)
    remove(work)


if __name__ == "__main__":
    main()
