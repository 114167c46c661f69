"""What a figure needs beside it to be believed: command, commit, machine, time."""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path


def options(description: str) -> argparse.Namespace:
    """Return --out (where the JSON goes) and --folder (the disk to measure)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    return parser.parse_args()


def facts() -> dict[str, object]:
    """Return the circumstances of a measurement, naming no host and no path."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
    return {
        "command": f"python {Path(sys.argv[0]).name} --out ...",
        "commit": _git("rev-parse", "HEAD"),
        "clean": not _git("status", "--porcelain", "--", "lineage", "benchmarks/lineage_*.py"),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": model,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def write(out: Path, figures: dict[str, object], circumstances: dict[str, object]) -> None:
    """Write the figures with their circumstances, and print them."""
    text = json.dumps({"figures": figures, "circumstances": circumstances}, indent=2) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    print(text, end="")  # noqa: T201 - a script's result


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
