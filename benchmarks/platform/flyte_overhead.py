"""What Flyte costs on one machine: time outside of task bodies, imports, help, packaging.

Runs a short climb of the math team in a copy of a home that has a fork point, and times each task's
body inside of what flytekit does around it. Its cost is by task and not by step, so the share in a
short climb is an upper bound for the demo's.

    PROVOST_HOME=runs python -m benchmarks.platform.flyte_overhead
"""

import functools
import importlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import ROOT
from benchmarks.common.circumstances import write_result
from lineage.store.store import home
from workflows.commands.faculty import PIPELINES, place_of, teams
from workflows.commands.local import quiet

TIMES = 3
IMPORT_ALL = """
import importlib, pkgutil, workflows
for found in pkgutil.walk_packages(workflows.__path__, "workflows."):
    importlib.import_module(found.name)
"""
HELP = "from workflows.cli import main; main(['--help'])"


def main() -> None:
    """Measure and write ``results/flyte_overhead.json``."""
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        # What the climb makes must not be found, and the home is not this script's to change.
        copy = shutil.copytree(home(), Path(folder, "home"), symlinks=True)
        os.environ["PROVOST_HOME"] = str(copy)
        climb = _short_climb()
    figures = {
        "short_climb": climb,
        "import_all_workflows": _fastest(["-c", IMPORT_ALL]),
        "help": _fastest(["-c", HELP]),
        "package": {name: _package(name) for name in (*teams(), *PIPELINES)},
    }
    write_result("flyte_overhead", "cpu", figures)


def _short_climb() -> dict[str, object]:
    """Time a climb of few steps: the whole workflow, and the bodies of its tasks."""
    settings: Any = importlib.import_module("workflows.teachers.math.settings")
    settings.SFT = settings.SFT.model_copy(update={"num_steps": 40})
    loop = settings.RL.loop.model_copy(update={"num_steps": 12, "rung_every": 4})
    settings.RL = settings.RL.model_copy(update={"loop": loop})
    climb = importlib.import_module("workflows.teachers.math.workflow").climb
    bodies: dict[str, float] = {}
    for node in climb.nodes:
        task = node.flyte_entity
        task._task_function = _timed(task._task_function, task.name, bodies)
    started = time.perf_counter()
    climb(seed=12345)  # a seed that no finished work has
    whole, inside = time.perf_counter() - started, sum(bodies.values())
    return {
        "seconds": round(whole, 3),
        "inside_tasks_seconds": round(inside, 3),
        "outside_seconds": round(whole - inside, 4),
        "outside_share": round((whole - inside) / whole, 6),
        "num_tasks": len(bodies),
        "scored_prompts": settings.DOMAIN.num_evaluation,
    }


def _timed(body: Callable[..., object], name: str, into: dict[str, float]) -> Callable[..., object]:
    @functools.wraps(body)
    def timed(**inputs: object) -> object:
        started = time.perf_counter()
        try:
            return body(**inputs)
        finally:
            into[name] = into.get(name, 0.0) + time.perf_counter() - started

    return timed


def _fastest(arguments: list[str]) -> dict[str, float]:
    found = [_seconds([sys.executable, *arguments]) for _ in range(TIMES)]
    return {name: min(each[name] for each in found) for name in found[0]}


def _package(name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "flytekit.clis.sdk_in_container.pyflyte"]
        command += ["--pkgs", place_of(name).package, "package", "--source", "."]
        command += ["--image", "registry.example.org/provost:test"]
        return _seconds([*command, "--output", f"{folder}/package.tgz"])


def _seconds(command: list[str]) -> dict[str, float]:
    """Return a command's time on the wall, and its processor's, which other work stretches less."""
    started, used = time.perf_counter(), _processor()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    wall, processor = time.perf_counter() - started, _processor() - used
    return {"wall": round(wall, 3), "processor": round(processor, 3)}


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
