"""What a figure needs beside it to be believed: command, commit, machine, versions, load, time."""

import argparse
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import RESULTS, ROOT, git, is_clean
from benchmarks.common.results import as_text, load, write_whole

PICTURES = ROOT / "docs" / "pictures"


def options(description: str | None) -> argparse.Namespace:
    """Return --out (where the JSON goes) and --folder (the disk to measure)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    return parser.parse_args()


def facts(device: str = "cpu") -> dict[str, object]:
    """Return the circumstances of a measurement. They name no host and no path."""
    return {
        "command": _command(),
        "commit": git("rev-parse", "HEAD"),
        "clean": is_clean(),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": _version("torch"),
        "transformers": _version("transformers"),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "device": _device(device),
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }


def write(file: Path, figures: object, circumstances: Mapping[str, object]) -> None:
    """Write figures with their circumstances, and print them.

    Figures of a checkout with changes are a draft (``benchmarks.common.checkout``).
    """
    content = {"figures": figures, "circumstances": dict(circumstances)}
    write_whole(file, content)
    sys.stdout.write(as_text(content))


def write_result(name: str, device: str, figures: object) -> None:
    """Write figures with their circumstances as ``results/<name>.json``, and print them."""
    write(RESULTS / f"{name}.json", figures, facts(device))


def read(name: str) -> dict[str, Any]:
    """Return the figures of an earlier measurement."""
    found: dict[str, Any] = load(RESULTS / f"{name}.json", {})["figures"]
    return found


def _command() -> str:
    words = [_without_place(word) for word in sys.argv[1:]]
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    module = spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
    return " ".join(["python -m", module, *words])


def _without_place(word: str) -> str:
    """Return a word of a command, or a ``--name=value``, with an absolute path as its last name."""
    name, equals, value = word.rpartition("=")
    return f"{name}{equals}{Path(value).name if Path(value).is_absolute() else value}"


def _device(device: str) -> str:
    if not device.startswith("cuda"):
        return device
    import torch  # noqa: PLC0415 - only what runs on a GPU pays for the import

    return str(torch.cuda.get_device_name())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor()
    lines = cpuinfo.read_text("utf-8").splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
