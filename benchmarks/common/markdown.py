"""Result files as Markdown tables."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import RESULTS, ROOT
from benchmarks.common.results import Row, load

NOT_RUN = "*Not run yet.*\n"
"""In the place of a table without a result."""


def result(name: str) -> dict[str, Any]:
    """Return a result file's content."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: a table of a page is made from it")
    return load(path, {})


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    lines = [tuple(heads), *(tuple(map(str, row)) for row in rows)]
    lines.insert(1, tuple("---" for _ in lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def estimate(interval: Mapping[str, float], digits: int) -> str:
    """Return a mean with its limits in brackets."""
    mean, low, high = (f"{interval[name]:.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def origin(read: Mapping[Path, Row]) -> str:
    """Return the line that names result files, and the commits that they were measured at.

    The files of a folder are named together. It is empty without a file.
    """
    groups: dict[str, list[Row]] = {}
    for path, content in sorted(read.items()):
        groups.setdefault(_shown_place(path.relative_to(ROOT)), []).append(content)
    if not groups:
        return ""
    named = (f"`{place}`{_commits(contents)}" for place, contents in groups.items())
    return f"\nFrom {', '.join(named)}.\n"


def _shown_place(path: Path) -> str:
    in_folder = path.parent.name != RESULTS.name
    return f"{path.parent.as_posix()}/*" if in_folder else path.as_posix()


def _commits(contents: Iterable[Row]) -> str:
    found = [each for content in contents for each in _measured_at(content)]
    if not found:
        return ""
    states = {is_clean for _, is_clean in found}
    line = ", ".join(dict.fromkeys(commit for commit, _ in found))
    if False in states:
        line += ", with changes that were not committed"
    elif None in states:
        line += ", not recorded whether with changes"
    return f" ({line})"


def _measured_at(value: object) -> Iterator[tuple[str, bool | None]]:
    """Yield each commit of a result, and whether its tree was without changes, where it says so."""
    if isinstance(value, dict):
        if isinstance(value.get("commit"), str):
            yield value["commit"][:7], value.get("clean")
        for commit in value.get("commits", ()):  # of rows; some name a changed tree so
            yield commit[:7], not commit.endswith("+changed")
        for part in value.values():
            yield from _measured_at(part)
