"""Runs every test, part by part, and writes what became of them: ``make test-all``.

Each file with slow or browser tests is a part of its own, and so are the tests that need a GPU. All
others, default and medium, are the last part. Parts of a file run beside each other, one for each
core. A part ends by itself or at its time limit. A test that lacks something (a browser, a database
server, a GPU) is listed as skipped, with what it lacks.

    python -m benchmarks.platform.all_tests             # all parts
    python -m benchmarks.platform.all_tests --resume    # those that have not passed as they are now

The result goes into ``results/test_all.json``, after each part, if the checkout has no changes that
are not committed. Each part names the commit that last changed what it tests: the product, the
part's own files, and the tests' files that these import. A checkout with changes is tested without
a written result.
"""

import argparse
import ast
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import torch

from benchmarks.common.checkout import RESULTS, ROOT
from benchmarks.common.circumstances import facts
from benchmarks.common.results import Row, load, write_whole

FILE = RESULTS / "test_all.json"
DEFAULT_MINUTES, PART_MINUTES = 30.0, 30.0
_TAIL = 80
"""Lines of the output of a part that did not pass."""
SLOW = "(slow or browser) and not gpu and not cluster"
REST = "not (slow or browser or gpu or cluster)"
GPU = "gpu and not cluster"
_LISTED = ("tests/", "::")
_SUMS = ("passed", "failed", "skipped")


@dataclass(frozen=True)
class Part:
    """Tests that one process runs, and how long it may take."""

    name: str
    arguments: tuple[str, ...]
    """Arguments of pytest."""

    minutes: float = PART_MINUTES
    lacks: str = ""
    """What the part needs and this machine does not have."""

    @property
    def is_file(self) -> bool:
        """Whether it is the slow tests of one file."""
        return self.name.endswith(".py")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are left; return 1 if one of them did not pass."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--resume", action="store_true", help="leave out parts that passed")
    parser.add_argument("--workers", default="", help="pytest-xdist's arguments, for the last part")
    given = parser.parse_args(arguments)
    circumstances, clean = facts(), is_clean()
    earlier = load(FILE, {"parts": []}) if given.resume and clean else {"parts": []}
    every = parts(shlex.split(given.workers))
    trees = {part.name: tree(part) for part in every}
    rows = passed_at(trees, earlier)
    left = [part for part in every if part.name not in {row["part"] for row in rows}]

    def finish(part: Part, row: Row) -> None:
        left.remove(part)
        rows.append(row | {"tree": trees[part.name]})
        sys.stdout.write(line(row) + "\n")
        sys.stdout.flush()
        if clean:
            names = [each.name for each in left]
            write_whole(FILE, {"circumstances": circumstances, **summary(rows, names)})

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        running = {pool.submit(run, part): part for part in left if part.is_file}
        for future in as_completed(running):
            finish(running[future], future.result())
    for part in list(left):
        finish(part, run(part))
    return 0 if summary(rows)["outcome"] == "passed" else 1


def parts(workers: Sequence[str]) -> list[Part]:
    """Return each file with slow tests, the tests that need a GPU, and all others."""
    default = Part("default", ("-m", REST, *workers), DEFAULT_MINUTES)
    slow = [Part(file, (file, "-m", SLOW)) for file in files_with(SLOW)]
    device = "" if torch.cuda.is_available() else "a CUDA device"
    return [*slow, Part("gpu", (*files_with(GPU), "-m", GPU), lacks=device), default]


def files_with(marks: str) -> list[str]:
    """Return the files with tests of these marks, sorted."""
    command = ["--collect-only", "-q", "-m", marks, "-p", "no:cacheprovider"]
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = listed.stdout.splitlines()
    return sorted({each.partition("::")[0] for each in lines if all(x in each for x in _LISTED)})


def run(part: Part) -> Row:
    """Run a part in a process group of its own; return its row."""
    if part.lacks:
        lack = {"test": part.name, "because": f"this machine lacks {part.lacks}"}
        return {"part": part.name, "outcome": "skipped", "skipped": [lack], "seconds": 0.0}
    with tempfile.TemporaryDirectory() as folder, Path(folder, "out").open("w+b") as out:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        begin = time.monotonic()
        process = subprocess.Popen(
            [*command, f"--junitxml={report}", f"--basetemp={folder}/files", *part.arguments],
            cwd=ROOT,
            start_new_session=True,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            process.wait(part.minutes * 60)
            row = outcome(report, process.returncode)
        except subprocess.TimeoutExpired:
            row = {"outcome": "timed out", "minutes": part.minutes}
        finally:
            _end(process)
        if row["outcome"] != "passed":
            out.seek(0)
            tail = out.read().decode(errors="replace").splitlines()[-_TAIL:]
            sys.stdout.write("\n".join([f"--- {part.name}", *tail, ""]))
    return {"part": part.name, **row, "seconds": round(time.monotonic() - begin, 1)}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process and of its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def outcome(report: Path, status: int) -> Row:
    """Return what a report of pytest says: how many passed, which failed, and which lack what."""
    if not report.exists():
        return {"outcome": "failed", "failed": [f"pytest ended with status {status}"]}
    passed, failed, skipped = 0, [], []
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        lack = case.find("skipped")
        if lack is not None:
            because = lack.get("message", "").replace(f"{ROOT}/", "")  # a result names no place
            skipped.append({"test": name, "because": because})
        elif case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        else:
            passed += 1
    word = "failed" if failed or status not in (0, 5) else "passed" if passed else "skipped"
    return {"outcome": word, "passed": passed, "failed": failed, "skipped": skipped}


def summary(rows: Sequence[Row], not_run: Sequence[str] = ()) -> Row:
    """Return the rows with their sums, and the parts that are not run yet."""
    bad = [row["part"] for row in rows if row["outcome"] in ("failed", "timed out")]
    sums = {
        "passed": sum(row.get("passed", 0) for row in rows),
        "failed": sum(len(row.get("failed", ())) for row in rows),
        "skipped": sum(len(row.get("skipped", ())) for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
    }
    word = "failed" if bad else "unfinished" if not_run else "passed"
    return {
        "outcome": word,
        **sums,
        "did_not_pass": bad,
        "not_run": list(not_run),
        "parts": list(rows),
    }


def passed_at(trees: Mapping[str, str], earlier: Row) -> list[Row]:
    """Return the rows of an earlier result that need not run again; ``trees`` by part."""
    return [
        row
        for row in earlier["parts"]
        if row["outcome"] in ("passed", "skipped") and trees.get(row["part"]) == row["tree"]
    ]


def line(row: Row) -> str:
    """Return a row in one line."""
    counts = ", ".join(
        f"{row[name] if name == 'passed' else len(row[name])} {name}"
        for name in _SUMS
        if name in row
    )
    reasons = sorted({each["because"] for each in row.get("skipped", ())})
    return f"{row['part']}: {row['outcome']} after {row['seconds']:.0f} s ({counts})" + "".join(
        f"\n    skipped: {reason}" for reason in reasons
    )


_PRODUCT = ("workflows", "tasks", "lineage", "images", "infra", "Makefile", "pyproject.toml")
_SHARED = ("tests/support", "tests/conftest.py")


def is_clean() -> bool:
    """Return whether what is tested has no changes that are not committed."""
    return not _git("status", "--porcelain", "--", *_PRODUCT, "tests")


def tree(part: Part | None = None) -> str:
    """Return the commit that last changed what a part tests; without a part, any test."""
    own = [*_SHARED, *imported(Path(part.name))] if part and part.is_file else ["tests"]
    return _git("log", "-1", "--format=%H", "--", *_PRODUCT, *own)


def imported(file: Path) -> list[str]:
    """Return a file of tests and the files of tests that it imports, directly or not."""
    found, left = [], [file]
    while left:
        one = left.pop()
        if str(one) in found or not (ROOT / one).is_file():
            continue
        found.append(str(one))
        for node in ast.walk(ast.parse((ROOT / one).read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
                left.append(Path(*str(node.module).split(".")).with_suffix(".py"))
    return found


def _git(*words: str) -> str:
    run = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
