"""Tables and figures of what people wait for, from the committed results."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks.common.markdown import result, table
from benchmarks.common.results import Row

NOT_MEASURED = "not measured"


class Wait(NamedTuple):
    """What is waited for, how long it took when the goal was set, and the goal in seconds."""

    what: str
    before: str
    goal: float | None


WAITS = {
    "install": Wait("`make setup` in a new clone", NOT_MEASURED, 90),
    "demo": Wait("`make demo`", "560 s", 360),
    "audit": Wait("`provost audit` of one behavior", "11 to 17 s", 6),
    "gate": Wait("`provost gate` of four teachers", NOT_MEASURED, 10),
    "verify": Wait("`provost lineage verify`, nothing changed", NOT_MEASURED, 2),
    "teacher_list": Wait("`provost teacher list`", NOT_MEASURED, None),
    "help": Wait("`provost --help`", NOT_MEASURED, 0.3),
    "unreachable_s3": Wait("an S3 server that says nothing", "510 s", 20),
    "unreachable_mlflow": Wait("an MLflow server that says nothing", "510 s", 20),
    "test": Wait("`make test`", NOT_MEASURED, 180),
}
"""The times before were stated with the goals. Their commit and load were not recorded, and no
result file holds them."""
GOAL_GIGABYTES = 2.0
"""What the install may take of the disk."""


def waits() -> str:
    """Return how long people wait for each command, and whether that meets the goal."""
    found = result("waits")
    return table(
        ("wait", "before", "now", "goal", "met", "commit"),
        (
            (
                *(wait.what, wait.before, _waited(found[name]), _goal(wait, found[name])),
                *(is_met(wait, found[name]), _short_commit(found[name])),
            )
            for name, wait in WAITS.items()
        ),
    )


def is_met(wait: Wait, row: Row) -> str:
    """Return "yes" or "no" in bold, and "-" for a wait without a goal."""
    if wait.goal is None:
        return "-"
    met = row["seconds"] <= wait.goal and row.get("gigabytes", 0) <= GOAL_GIGABYTES
    return "yes" if met else "**no**"


def _goal(wait: Wait, row: Row) -> str:
    if wait.goal is None:
        return "none"
    return f"{wait.goal:g} s" + (f", {GOAL_GIGABYTES:g} GB" if "gigabytes" in row else "")


def _waited(row: Row) -> str:
    text = f"{row['seconds']:.{1 if row['seconds'] >= 0.1 else 2}f} s"
    if "gigabytes" in row:
        text += f", {row['gigabytes']} GB"
    if "first_picture_seconds" in row:
        text += f"; first picture after {row['first_picture_seconds']:.0f} s"
    return text


def _short_commit(row: Row) -> str:
    return str(row["circumstances"]["commit"][:7])


def threads() -> str:
    """Return the speed of a training loop by threads and wait policy, alone and beside."""
    return table(
        ("", "alone", "beside one busy process", "share kept"),
        (
            (choice, f"{row['alone']:.1f}", f"{row['beside_busy']:.1f}", f"{row['share_kept']:.2f}")
            for choice, row in result("threads")["figures"]["medians"].items()
        ),
    )


def _wait(name: str) -> str:
    return _waited(result("waits")[name])


def _commit_of_wait(name: str) -> str:
    return _short_commit(result("waits")[name])


def _first_picture() -> str:
    return f"{result('waits')['demo']['first_picture_seconds']:.0f} s"


def _test_all(key: str) -> str:
    return f"{result('test_all')[key]:,}"


def _test_all_minutes() -> str:
    """Return the time of all parts together; some of them ran side by side."""
    return f"{result('test_all')['seconds'] / 60:.0f} minutes"


PLATFORM: dict[str, Callable[[], str]] = {"waits": waits, "threads": threads}
PLATFORM_FIGURES: dict[str, Callable[[], str]] = {
    **{f"waits_{name}": partial(_wait, name) for name in WAITS},
    **{f"waits_{name}_commit": partial(_commit_of_wait, name) for name in WAITS},
    "waits_first_picture": _first_picture,
    "test_all_passed": partial(_test_all, "passed"),
    "test_all_failed": partial(_test_all, "failed"),
    "test_all_skipped": partial(_test_all, "skipped"),
    "test_all_minutes_of_parts": _test_all_minutes,
    "test_all_commit": lambda: _short_commit(result("test_all")),
}
