"""Runs the main job for several seeds and keeps scores, each prompt's outcome, time and memory.

Each seed has a home folder of its own and is one case: a case that is in the results file is not
run again, so the script can be stopped and started. At the end it draws the scorecard of seed 0
as ``docs/pictures/scorecard.png``; ``python -m benchmarks.common.figures`` writes the tables.

    python -m benchmarks.platform.demo_seeds --seeds 0 1 2 --homes runs/seeds
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.prompt_rows import prompt_rows
from benchmarks.common.results import Row, load, write_whole
from benchmarks.platform.scorecard_pictures import draw
from lineage.artifacts import Student, read_manifest
from lineage.registry.registry import Registry
from tasks.platform.step_runner import StepRunner

FILE = RESULTS / "demo.json"
ROWS = RESULTS / "demo"
PROGRAM = "from workflows.cli import main; main()"


def main() -> None:
    """Run what is not in the results yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--homes", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--results", type=Path, default=FILE)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        if str(seed) not in _read(arguments.results)["seeds"]:
            case = _run(seed, arguments.homes / str(seed), arguments.processes)
            # Read again: another process may have added a seed of its own meanwhile.
            results = _read(arguments.results)
            results["seeds"][str(seed)] = case
            write_whole(arguments.results, results)
    draw(_read(arguments.results))


def _run(seed: int, home: Path, processes: int) -> dict[str, object]:
    command = ["demo", "--seed", str(seed), "--processes", str(processes)]
    environment = os.environ | {"PROVOST_HOME": str(home.absolute())}
    measured, started = facts(), time.monotonic()
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, *command], env=environment)
    peak = _PeakMemory(child.pid)
    peak.start()
    code = child.wait()
    seconds = time.monotonic() - started
    if code:
        raise SystemExit(f"seed {seed} ended with exit code {code}: see {home}/demo/logs")
    card = json.loads((home / "demo" / "scorecard.json").read_text(encoding="utf-8"))
    write_whole(ROWS / f"{seed}.json.gz", _rows(home) | {"seed": seed, "circumstances": measured})
    return {
        **measured,
        "command": f"provost {' '.join(command)}",
        "seconds": round(seconds, 1),
        "peak_memory_bytes": peak.highest,
        "scorecard": card,
    }


def _rows(home: Path) -> Row:
    """Return the outcome of each prompt behind a demo's scorecard."""
    os.environ["PROVOST_HOME"] = str(home.absolute())
    runner = StepRunner()
    entry = Registry(runner.store).resolve("student@latest")
    return prompt_rows(runner, read_manifest(runner.store, entry.digest, Student).scorecard)


class _PeakMemory(threading.Thread):
    """Samples the memory of a process and all below it, shared pages counted once (PSS)."""

    def __init__(self, pid: int, every_seconds: float = 2.0) -> None:
        super().__init__(daemon=True)
        self._process, self._every_seconds = psutil.Process(pid), every_seconds
        self.highest = 0

    def run(self) -> None:
        """Sample until the process ends."""
        while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            self.highest = max(self.highest, self._now())
            time.sleep(self._every_seconds)

    def _now(self) -> int:
        total = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:  # it ended between the listing and the look
                continue
        return total


def _read(path: Path) -> Row:
    machine = {
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
    }
    return load(path, {"machine": machine, "seeds": {}})


if __name__ == "__main__":
    main()
