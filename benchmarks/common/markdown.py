"""Result files as Markdown tables."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from benchmarks.common.checkout import RESULTS

NOT_RUN = "*Not run yet.*\n"
"""In the place of a table without a result."""


def result(name: str) -> dict[str, Any]:
    """Return a result file's content."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return found


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    lines = [tuple(heads), *(tuple(map(str, row)) for row in rows)]
    lines.insert(1, tuple("---" for _ in lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def estimate(interval: Mapping[str, float], digits: int) -> str:
    """Return a mean with its limits in brackets."""
    mean, low, high = (f"{interval[name]:.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def origin(name: str) -> str:
    """Return the line that names a result file and the commits it was measured at."""
    found = [*_measured_at(result(name))]
    commits = ", ".join(dict.fromkeys(commit for commit, _ in found))
    line = f"`benchmarks/results/{name}.json`, commit {commits}"
    states = {is_clean for _, is_clean in found}
    if False in states:
        line += " with changes that were not committed"
    elif None in states:
        line += "; whether the tree had changes was not recorded"
    return f"\n{line}.\n"


def _measured_at(value: object) -> Iterator[tuple[str, bool | None]]:
    """Yield each commit of a result, and whether its tree was without changes, where it says so."""
    if isinstance(value, dict):
        if isinstance(value.get("commit"), str):
            yield value["commit"][:7], value.get("clean")
        for part in value.values():
            yield from _measured_at(part)
