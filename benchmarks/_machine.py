"""What a figure of speed needs beside it: command, commit, versions, processor, load."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
import transformers

RESULTS = Path(__file__).parent / "results"


def facts(device: str = "cpu") -> dict[str, object]:
    """Return the circumstances of a measurement, naming no host and no path."""
    on_gpu = torch.device(device).type == "cuda"
    given = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return {
        "command": f"python benchmarks/{Path(sys.argv[0]).name} {' '.join(given)}",
        "commit": _git("rev-parse", "HEAD"),
        "clean": not _git("status", "--porcelain", "--", "tasks", "benchmarks/*.py"),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median and quartiles of at least two numbers, to four digits."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        name: float(f"{value:.4g}")
        for name, value in (("median", middle), ("lower", low), ("upper", high))
    }


def write(name: str, device: str, figures: object) -> None:
    """Write figures with their circumstances as ``results/<name>.json``, and print them."""
    file = RESULTS / f"{name}.json"
    text = json.dumps({"figures": figures, "circumstances": facts(device)}, indent=1)
    file.write_text(f"{text}\n", "utf-8")
    sys.stdout.write(f"{text}\n")


def read(name: str) -> dict[str, object]:
    """Return the figures of an earlier measurement."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["figures"]


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor()
    lines = cpuinfo.read_text("utf-8").splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
