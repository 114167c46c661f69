"""How long people wait: for the install, the demo, the tests, and for each everyday command.

    python -m benchmarks.platform.waits                  # all, about 20 minutes
    python -m benchmarks.platform.waits audit gate       # some; the first needs the demo's folder

Everything runs in a clone of this checkout's commit, which ``--folder`` keeps. The parts are
written into ``results/waits.json`` one by one. Alone on the machine, or the figures are not those
of the project.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common.checkout import RESULTS, ROOT
from benchmarks.common.circumstances import facts
from benchmarks.common.results import Row, load, write_whole

FILE = RESULTS / "waits.json"
LIMIT_SECONDS = 1800
REPEATS = 3
QUESTIONS = (("37+48", "37+48=85"), ("12+30", "12+30=42"), ("25+11", "25+11=36"))
"""Prompt and response of each audit; each is asked for the first time."""
PICTURES = (".html", ".png", ".svg")


class Waits:
    """A clone of the checkout, in which commands are timed."""

    def __init__(self, folder: Path) -> None:
        """Take a folder; the clone is made by ``install``."""
        self.clone = folder / "clone"
        self.bin = self.clone / ".venv" / "bin"
        self.environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PROVOST_", "MLFLOW_", "AWS_", "OMP_"))
        }

    def install(self) -> Row:
        """Time ``make setup`` in a new clone; the size is that of its environment."""
        shutil.rmtree(self.clone, ignore_errors=True)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.clone)], check=True)
        python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
        seconds = self._seconds("make", f"PYTHON={python}", "setup")
        size = sum(
            file.lstat().st_size for file in (self.clone / ".venv").rglob("*") if file.is_file()
        )
        return {
            "seconds": seconds,
            "gigabytes": round(size / 1e9, 2),
            "package_sources": package_sources(self._said("-m", "pip", "config", "list")),
        }

    def demo(self) -> Row:
        """Time ``make demo``, and when its first picture or page is there."""
        shutil.rmtree(self.clone / "runs", ignore_errors=True)
        begin = time.time()
        seconds = self._seconds("make", "demo")
        shown = [
            file.stat().st_mtime - begin
            for file in (self.clone / "runs").rglob("*")
            if file.suffix in PICTURES and file.is_file()
        ]
        return {"seconds": seconds, "first_picture_seconds": round(min(shown), 1)}

    def test(self) -> Row:
        """Time ``make test``, behind the install of its tools."""
        self._seconds("make", "tools")
        return {"seconds": self._seconds("make", "test")}

    def audit(self) -> Row:
        """Time audits of one behavior each, none of which is known yet."""
        command = ("audit", "student@released")
        return self._repeated(
            [(*command, "--prompt", prompt, "--response", said) for prompt, said in QUESTIONS]
        )

    def gate(self) -> Row:
        """Time the gate of the four teachers, at lengths at which they were not measured yet."""
        return self._repeated([("gate", "--max-new-tokens", str(23 - n)) for n in range(REPEATS)])

    def verify(self) -> Row:
        """Time ``lineage verify`` of the demo's student, and again when nothing has changed."""
        command = ("lineage", "verify", "student@released")
        first = self._command(*command, "--full")
        return {"full_seconds": first, **self._repeated([command] * REPEATS)}

    def help(self) -> Row:
        """Time ``provost --help``."""
        return self._repeated([("--help",)] * REPEATS)

    def teacher_list(self) -> Row:
        """Time ``teacher list``."""
        return self._repeated([("teacher", "list")] * REPEATS)

    def unreachable_s3(self) -> Row:
        """Time a command on an S3 server that takes connections and says nothing."""
        with silent() as port:
            keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
            where = {
                "PROVOST_STORE": "s3://bucket/store",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            return {"seconds": self._command("teacher", "list", more=keys | where, status=1)}

    def unreachable_mlflow(self) -> Row:
        """Time a command on an MLflow server that takes connections and says nothing."""
        with silent() as port:
            where = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
            return {"seconds": self._command("lineage", "reindex", more=where, status=1)}

    def _said(self, *words: str) -> str:
        """Return what the clone's Python prints."""
        command = [str(self.bin / "python"), *words]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True
        ).stdout

    def _repeated(self, commands: Sequence[tuple[str, ...]]) -> Row:
        taken = [self._command(*command) for command in commands]
        return {"seconds": round(statistics.median(taken), 2), "each": taken}

    def _command(
        self, *words: str, more: Mapping[str, str] | None = None, status: int = 0
    ) -> float:
        return self._seconds(str(self.bin / "provost"), *words, more=more, status=status)

    def _seconds(
        self, *words: str, more: Mapping[str, str] | None = None, status: int = 0
    ) -> float:
        """Run a command in the clone; return the seconds on the clock.

        Raises:
            RuntimeError: it ended with another status.
        """
        begin = time.monotonic()
        ran = subprocess.run(
            words,
            cwd=self.clone,
            env={**self.environment, **(more or {})},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        seconds = round(time.monotonic() - begin, 2)
        if ran.returncode != status:
            raise RuntimeError(f"{' '.join(words)}: status {ran.returncode}\n{ran.stderr[-2000:]}")
        return seconds


def package_sources(configured: str) -> list[str]:
    """Return from where pip takes packages: "network", "local", or both; never an address.

    Args:
        configured: The output of ``pip config list``.
    """
    settings = dict(re.findall(r"^\S*?\.([a-z-]+)='(.*)'$", configured, re.MULTILINE))
    places = [settings.get("index-url", "https://pypi.org/simple")]
    places += f"{settings.get('extra-index-url', '')} {settings.get('find-links', '')}".split()
    return sorted({"network" if place.startswith("http") else "local" for place in places})


@contextmanager
def silent() -> Iterator[int]:
    """Yield the port of a server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield listening.getsockname()[1]


PARTS: Mapping[str, Callable[[Waits], Row]] = {
    "install": Waits.install,
    "demo": Waits.demo,
    "audit": Waits.audit,
    "gate": Waits.gate,
    "verify": Waits.verify,
    "teacher_list": Waits.teacher_list,
    "help": Waits.help,
    "unreachable_s3": Waits.unreachable_s3,
    "unreachable_mlflow": Waits.unreachable_mlflow,
    "test": Waits.test,
}


def main() -> None:
    """Time the parts that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "provost-waits"))
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    waits = Waits(given.folder)
    for part in given.parts or PARTS:
        circumstances = facts()
        row = PARTS[part](waits) | {"circumstances": circumstances}
        write_whole(FILE, load(FILE, {}) | {part: row})
        sys.stdout.write(f"{part} {json.dumps({k: v for k, v in row.items() if k[0] != 'c'})}\n")


if __name__ == "__main__":
    main()
