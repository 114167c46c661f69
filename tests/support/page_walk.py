"""Runs the commands of README and guides as they are written, block by block, in a shell.

``python -m tests.support.page_walk PAGE...`` runs the pages' commands in this checkout with the
home of ``PROVOST_HOME``, which holds a finished demo, and prints each with its exit status, its
seconds and its last line. A line of ``NOT_RUN`` is not run; the reason is beside it.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROGRAMS = "cd createdb export make pg_dump pg_restore provost python rsync source sqlite3".split()
_COMMAND = re.compile(rf"^(?:[A-Z_]+=\S+ )*(?:{'|'.join(_PROGRAMS)}) ")

NOT_RUN = {
    "make demo": "the home of this walk holds a finished demo; tests/end_to_end/test_main_job.py",
    "make test": "it is what runs this",
    "make tools": "what runs this has them",
    "provost register": "it needs a Flyte cluster; tests/hosted/test_registration.py",
    "provost approve": "it needs a Flyte cluster; tests/hosted/test_approve.py",
    "provost runs": "it needs a Flyte cluster; tests/hosted/test_runs.py",
    "provost waive": "it takes the digest of a refusal; tests/end_to_end/test_gate.py",
    "provost run consolidation --teachers ... --waivers": "the same",
    "provost run consolidation --teachers roman": "it takes that team's climb; "
    "benchmarks/gate/new_domain.py",
    "cd": "tests/infra/test_operations.py runs the backup",
    "rsync": "tests/infra/test_operations.py runs the backup",
    "PROVOST_HOME=NEW_HOME": "tests/infra/test_operations.py restores the backup",
    "sqlite3": "it needs the program of that name",
    "pg_dump": "it needs a PostgreSQL server; tests/lineage/test_mirror_postgres.py",
    "createdb": "it needs a PostgreSQL server",
    "pg_restore": "it needs a PostgreSQL server",
    "provost teacher new gsm": "it takes a data file; tests/end_to_end/test_carried_packages.py",
    "python -m pytest tests/teachers/test_gsm.py": "the same",
    "provost run teacher gsm": "the same",
    "provost teacher new chain": "it needs an index; tests/end_to_end/test_carried_packages.py",
    "provost teacher new guess": "it takes a package of the reader's; "
    "tests/end_to_end/test_published_environments.py",
    "provost checkpoint import PATH": "it takes a model; "
    "tests/end_to_end/test_foundation_from_a_model.py",
    "provost run foundation --model": "the same",
    "provost teacher import": "it takes a checkpoint; tests/end_to_end/test_imported_teacher.py",
    "provost teacher lock": "it takes requirements; tests/workflows/test_lock.py",
    "provost trust publish": "it takes a maintainer's key; tests/lineage/test_trust_chain.py",
}
"""How the lines begin that are not run, with the reason."""
ANSWERED = re.compile(r"--reviewed|provost teacher recall")
"""Lines that wait for a yes."""


@dataclass(frozen=True)
class Command:
    """One line of a page."""

    page: str
    line: int
    text: str

    @property
    def reason(self) -> str:
        """Why it is not run; "" if it is."""
        found = (why for start, why in NOT_RUN.items() if f"{self.text} ".startswith(f"{start}"))
        return next(found, "")


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    command: Command
    status: int
    seconds: float
    output: str

    def __str__(self) -> str:
        """Return it in one line."""
        last = (self.output.strip().splitlines() or [""])[-1]
        where = f"{self.command.page}:{self.command.line}"
        return f"{where} [{self.status}, {self.seconds:.0f} s] {self.command.text} -> {last[:100]}"


def commands_of(page: Path) -> Iterator[Command]:
    """Yield the commands of a page's blocks, without their comments, in order."""
    text = page.read_text("utf-8")
    for block in _BLOCK.finditer(text):
        if block[1] not in {"", "bash"}:
            continue
        first = text[: block.start(2)].count("\n") + 1
        for number, line in enumerate(block[2].splitlines()):
            if _COMMAND.match(f"{line} "):
                bare = re.split(r"\s+# ", line)[0].strip()
                yield Command(page.name, first + number, bare)


def run(command: Command, checkout: Path, environment: dict[str, str]) -> Ran:
    """Run a command in a shell of its own, as if it were typed."""
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", command.text],
        cwd=checkout,
        env=environment,
        input="yes\n" if ANSWERED.search(command.text) else "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Ran(command, done.returncode, time.monotonic() - began, done.stdout)


def main(names: list[str]) -> None:
    """Run the pages of these names, or all."""
    for page in (page for page in PAGES if page.name in names or not names):
        for command in commands_of(page):
            if command.reason:
                sys.stdout.write(f"{command.page}:{command.line} not run: {command.text}\n")
                continue
            ran = run(command, ROOT, dict(os.environ))
            sys.stdout.write(f"{ran}\n")
            if ran.status:
                sys.stdout.write(f"{ran.output}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
