"""Each mutant in turn: written into its file, tested, taken out again."""

import difflib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from benchmarks.common.results import Row
from benchmarks.mutants.relocate import find, renames
from benchmarks.mutants.rooms import ROOMS, ROOT
from benchmarks.mutants.sites import Site, sites

TIMEOUT_SECONDS = 300
PRODUCT = ("workflows", "tasks", "lineage", "images", "tests")


def commit() -> str:
    """Return the commit that last changed the product or its tests.

    Raises:
        ValueError: They have changes that are not committed.
    """
    if _git("status", "--porcelain", "--", *PRODUCT):
        raise ValueError("the checkout has changes: run the mutants in a clean checkout")
    return _git("log", "-1", "--format=%H", "--", *PRODUCT)


def outcome(row: Row) -> dict[str, object]:
    """Return what the tests of its room made of a drawn mutant."""
    room = ROOMS[str(row["room"])]
    drawn = Site(**{name: row[name] for name in Site.__dataclass_fields__})
    names = renames()
    moved = names["modules"].get(drawn.module, drawn.module)
    others = [path for path in room.files() if path != moved]
    site = None
    for paths in ([moved] if (ROOT / moved).exists() else [], others):
        sources = {path: (ROOT / path).read_text("utf-8") for path in paths}
        candidates = (sites(path, sources[path], drawn.operator) for path in paths)
        site = site or find(drawn, [mutant for each in candidates for mutant in each], names)
    if site is None:
        return {"outcome": "not found"}
    with mutated(site) as diff:
        begin = time.monotonic()
        result = _tested(room.test_files())
    return {
        "at": f"{site.module}:{site.function}",
        "diff": diff,
        **result,
        "seconds": round(time.monotonic() - begin, 1),
    }


@contextmanager
def mutated(site: Site) -> Iterator[str]:
    """Hold the mutant in its file, and give the difference; the file is restored at the end."""
    path = ROOT / site.module
    original = path.read_text("utf-8")
    source = mutate_code(original, get_operator(site.operator)(), site.occurrence)
    lines = difflib.unified_diff(original.splitlines(), source.splitlines(), lineterm="", n=0)
    try:
        path.write_text(source, "utf-8")
        yield "\n".join(list(lines)[2:])
    finally:
        path.write_text(original, "utf-8")


def check_room(name: str) -> None:
    """Run the tests of a room without a mutant.

    Raises:
        ValueError: They fail, so that they would kill any mutant.
    """
    result = _tested(ROOMS[name].test_files())
    if result["outcome"] != "survived":
        raise ValueError(f"the tests of {name} fail without a mutant: {result}")


def _tested(files: list[str]) -> dict[str, object]:
    """Return ``killed`` with the first test that failed, ``timeout`` or ``survived``."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files]
    try:
        run = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"outcome": "timeout"}
    if run.returncode == 0:
        return {"outcome": "survived"}
    killer = re.search(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    if run.returncode > 2 or not killer:
        raise RuntimeError(f"pytest ended with {run.returncode}:\n{run.stdout[-2000:]}")
    return {"outcome": "killed", "by": killer[1]}


def _git(*words: str) -> str:
    run = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.strip()
