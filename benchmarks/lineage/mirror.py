"""Record and MLflow write of a checkpoint on SQLite, and 10,000 metrics of one run.

One base, then checkpoints that descend from it, each with a parent edge, a data set and 20
settings; the first one, which makes MLflow's tables, is not counted, nor is the put of the weights
(see lineage_store.py). The processor time is given beside the time on the clock: on a machine that
does other work, and whose disk does, the clock shows more.

    python -m benchmarks.lineage.mirror --out benchmarks/results/lineage_mirror.json
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from pydantic import JsonValue

from benchmarks.common.circumstances import facts, options, write
from lineage.mirror import mirror_record
from lineage.records.derivation import Sample, metrics_blob
from lineage.records.record import Attestation, Derivation, Input, Records
from lineage.store.scratch import remove
from lineage.store.store import open_store

CHECKPOINTS, METRICS, SEED = 100, 10_000, 0
TIME = "2026-11-21T00:00:00+00:00"


def make(
    records: Records, number: int, inputs: tuple[Input, ...], output: str, metrics: str = ""
) -> Input:
    """Write one record of an output that is in the store; return it as an input for the next."""
    settings: dict[str, JsonValue] = {f"setting_{place}": place for place in range(20)}
    settings["step"] = number
    derivation = Derivation(kind="sft", inputs=inputs, source="", settings=settings, seed=SEED)
    attestation = Attestation(
        derivation=derivation.digest(),
        output=output,
        output_kind="checkpoint",
        started=TIME,
        finished=TIME,
        metrics=metrics,
    )
    record = records.write(derivation, attestation)
    return Input(role="start", artifact=output, record=record)


def main() -> None:
    """Measure and write the result."""
    given, circumstances = options(__doc__), facts()
    given.folder.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(dir=given.folder))
    os.environ["PROVOST_HOME"] = str(home)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    store = open_store()
    records = Records(store)
    outputs = [store.put_bytes(b"weights %d" % number) for number in range(CHECKPOINTS + 2)]
    base = make(records, -1, (), outputs[-1])
    data = Input(role="data", artifact=store.put_bytes(b"rows"))
    assert mirror_record(store, base.record)
    written, mirrored, busy = [], [], []
    for number in range(CHECKPOINTS):
        start, start_cpu = time.perf_counter(), time.process_time()
        made = make(records, number, (base, data), outputs[number])
        middle = time.perf_counter()
        assert mirror_record(store, made.record)
        written.append(1000 * (middle - start))
        mirrored.append(1000 * (time.perf_counter() - middle))
        busy.append(1000 * (time.process_time() - start_cpu))
    rows = [Sample(step, "loss", 1.0 / (step + 1), "sft") for step in range(METRICS)]
    blob = store.put_bytes(metrics_blob(rows))
    made = make(records, CHECKPOINTS, (base,), outputs[CHECKPOINTS], blob)
    start = time.perf_counter()
    assert mirror_record(store, made.record)
    figures = {
        "checkpoints": CHECKPOINTS,
        "seed": SEED,
        "record_milliseconds_median": round(statistics.median(written), 1),
        "mlflow_milliseconds_median": round(statistics.median(mirrored), 1),
        "both_milliseconds_mean": round(statistics.fmean(written) + statistics.fmean(mirrored), 1),
        "both_milliseconds_median": round(
            statistics.median([one + two for one, two in zip(written, mirrored, strict=True)]), 1
        ),
        "processor_milliseconds_median": round(statistics.median(busy), 1),
        "metrics": METRICS,
        "metrics_seconds": round(time.perf_counter() - start, 2),
        "target": "at most 50 ms a checkpoint, at most 5 s for 10,000 metrics",
    }
    write(given.out, figures, circumstances)
    remove(home)


if __name__ == "__main__":
    main()
