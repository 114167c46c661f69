"""Tables of what blobs, records and the mirror cost, from the committed results."""

from collections.abc import Callable
from statistics import median

from benchmarks.common.markdown import result, table
from benchmarks.common.results import Row

LEAST_SPEED = 0.9
"""Least speed over a plain copy that also hashes."""
_STORE = (
    ("put", "put_seconds", "plain_copy_with_hash_seconds"),
    ("get", "get_seconds", "plain_copy_back_with_hash_seconds"),
    ("put of what is there already", "put_again_seconds", "plain_copy_with_hash_seconds"),
)
_HOLDERS = {"four_files": "four of 256 MiB", "one_file": "one of 1 GiB"}


def lineage_store() -> str:
    """Return how fast the store takes and gives a checkpoint of 1 GiB, beside a plain copy."""
    found = result("lineage_store")["figures"]
    rows = [
        (files, what, *_speeds(found[holder], ours, plain))
        for holder, files in _HOLDERS.items()
        for what, ours, plain in _STORE
    ]
    heads = ("files", "act", "plain copy that hashes, s", "store, s", "times as fast", "goal")
    return table(heads, rows)


def _speeds(found: Row, ours: str, plain: str) -> tuple[str, str, str, str]:
    """Return the medians of both, and their ratio beside the goal; a second put has none."""
    theirs, mine = median(found[plain]), median(found[ours])
    goal = "-" if ours == "put_again_seconds" else f"{LEAST_SPEED}"
    return f"{theirs:.2f}", f"{mine:.2f}", f"{theirs / mine:.2f}", goal


def lineage_mirror() -> str:
    """Return how long a record and its entry in MLflow take."""
    found = result("lineage_mirror")["figures"]
    rows: tuple[tuple[str, str, str, float | None], ...] = (
        ("record, a checkpoint", "record_milliseconds_median", "ms", None),
        ("MLflow on SQLite, a checkpoint", "mlflow_milliseconds_median", "ms", None),
        ("both", "both_milliseconds_median", "ms", 50),
        ("both, processor time", "processor_milliseconds_median", "ms", None),
        (f"MLflow, {found['metrics']:,} metrics at once", "metrics_seconds", "s", 5),
    )
    shown = (
        (what, f"{found[key]} {unit}", _goal(found[key], goal, unit))
        for what, key, unit, goal in rows
    )
    return table(("", "median", "goal"), shown)


def _goal(value: float, goal: float | None, unit: str) -> str:
    if goal is None:
        return "-"
    return f"{goal:g} {unit}" + ("" if value <= goal else ": **missed**")


def lineage_graph() -> str:
    """Return how long questions about the graph take."""
    found = result("lineage_graph")["figures"]
    rows = (
        ("ancestors", "ancestors_milliseconds_median", "ancestors_milliseconds_worst", "50 ms"),
        ("descendants", "descendants_milliseconds_median", "descendants_milliseconds_worst", "-"),
        ("nearest common ancestors", "nearest_common_ancestors_milliseconds_median", "", "-"),
    )
    shown = [
        (what, f"{found[middle]} ms", f"{found[worst]} ms" if worst else "not kept", goal)
        for what, middle, worst, goal in rows
    ]
    return table(("question", "median", "worst", "goal"), shown)


LINEAGE: dict[str, Callable[[], str]] = {
    "lineage_store": lineage_store,
    "lineage_mirror": lineage_mirror,
    "lineage_graph": lineage_graph,
}
