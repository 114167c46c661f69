"""How threads and OpenMP's wait policy bear a busy machine: steps per second of a training loop.

Each row is a fresh process that trains the demo's model for two seconds, alone or beside one
process that keeps a core busy. Rows of all choices take turns, so that other work on the machine
falls on each alike. Where the user may, both processes get the highest priority for these seconds;
each row has the cores that everything else took meanwhile.

    python -m benchmarks.platform.threads
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import psutil

from benchmarks.common.checkout import ROOT
from benchmarks.common.circumstances import write_result

TIMES, SECONDS = 5, 2.0
_START_SECONDS = 0.3
_PRIORITY = -15
BATCH, TOKENS = 32, 64
CHOICES: dict[str, tuple[int, Mapping[str, str]]] = {
    "one thread": (1, {}),
    "two threads": (2, {}),
    "two threads, OMP_WAIT_POLICY=PASSIVE": (2, {"OMP_WAIT_POLICY": "PASSIVE"}),
    "two threads, GOMP_SPINCOUNT=0": (2, {"GOMP_SPINCOUNT": "0"}),
    "two threads, GOMP_SPINCOUNT=10000": (2, {"GOMP_SPINCOUNT": "10000"}),
    "two threads, KMP_BLOCKTIME=0": (2, {"KMP_BLOCKTIME": "0"}),
}
"""Number of threads and variables of each choice."""
_BUSY = "while True: pass"
_OURS = "from benchmarks.platform.threads import child; child({threads}, beside_busy={beside_busy})"
_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")


def main() -> None:
    """Measure and write ``results/threads.json``."""
    rows = [
        {"choice": choice, "beside_busy": beside_busy, **_row(choice, beside_busy=beside_busy)}
        for _ in range(TIMES)
        for beside_busy in (False, True)
        for choice in CHOICES
    ]
    write_result("threads", "cpu", {"openmp": openmp(), "medians": medians(rows), "rows": rows})


def medians(rows: Sequence[Mapping[str, object]]) -> dict[str, dict[str, float]]:
    """Return for each choice its median steps per second, alone and beside, and their ratio."""
    found = {}
    for choice in CHOICES:
        alone, beside = (
            statistics.median(
                float(str(row["steps_per_second"]))
                for row in rows
                if row["choice"] == choice and row["beside_busy"] is busy
            )
            for busy in (False, True)
        )
        found[choice] = {
            "alone": round(alone, 2),
            "beside_busy": round(beside, 2),
            "share_kept": round(beside / alone, 3),
        }
    return found


def openmp() -> list[str]:
    """Return the OpenMP libraries that torch brings along and loads."""
    code = "import torch, psutil; print(*{m.path for m in psutil.Process().memory_maps()}, sep='|')"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = {path.rpartition("/")[2].strip() for path in shown.stdout.split("|")}
    return sorted(name for name in names if "omp" in name)


def child(threads: int, *, beside_busy: bool) -> None:
    """Train for a while, and print the row."""
    import torch  # noqa: PLC0415 - after the variables of this process are set

    from benchmarks.step.case import Case, Scene  # noqa: PLC0415

    with suppress(PermissionError):
        # Threads and processes that are started from here on inherit it.
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
    torch.manual_seed(0)
    case = Case(threads=threads)
    model = Scene(case).model(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    ids_BT = torch.randint(0, case.vocabulary_size, (BATCH, TOKENS))

    def step() -> None:
        model(input_ids=ids_BT, labels=ids_BT).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    with _busy(number=int(beside_busy)) as others:
        steps, began, before = 0, time.perf_counter(), _seconds(others)
        while time.perf_counter() < began + SECONDS:
            step()
            steps += 1
        took = time.perf_counter() - began
        machine, own, busy = (
            (after - earlier) / took
            for after, earlier in zip(_seconds(others), before, strict=True)
        )
    row = {
        "steps_per_second": round(steps / took, 2),
        "own_cores": round(own, 2),
        "busy_cores": round(busy, 2),
        "other_cores": round(max(machine - own - busy, 0.0), 2),
    }
    sys.stdout.write(json.dumps(row) + "\n")


def _row(choice: str, *, beside_busy: bool) -> dict[str, float]:
    threads, variables = CHOICES[choice]
    kept = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    command = [sys.executable, "-c", _OURS.format(threads=threads, beside_busy=beside_busy)]
    environment = {**kept, **variables}
    printed = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    row: dict[str, float] = json.loads(printed.stdout)
    return row


@contextmanager
def _busy(number: int) -> Iterator[list[int]]:
    """Keep ``number`` cores busy with a process each; yield their ids."""
    others = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(number)]
    time.sleep(_START_SECONDS)
    try:
        yield [other.pid for other in others]
    finally:
        for other in others:
            other.kill()
            other.wait()


def _seconds(others: Sequence[int]) -> tuple[float, float, float]:
    """Return processor seconds so far: of the machine, of this process, of the others."""
    machine, own = psutil.cpu_times(), psutil.Process().cpu_times()
    busy = [psutil.Process(pid).cpu_times() for pid in others]
    return (
        float(machine.user + machine.nice + machine.system),
        float(own.user + own.system),
        float(sum(each.user + each.system for each in busy)),
    )


if __name__ == "__main__":
    main()
