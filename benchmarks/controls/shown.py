"""The tables of the comparison's page, from ``results/controls.json``; n.r. where nothing ran."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.common.markdown import NOT_RUN as NOTHING_RAN
from benchmarks.common.markdown import estimate, table
from benchmarks.common.results import load
from benchmarks.common.shares import is_equal_time
from benchmarks.controls.planned import REFRESHED, SECOND_ROUND, seeds_of
from benchmarks.controls.tables import CONTROLS, LEAST, goals, judged
from tasks.contracts.controls import MERGED, Control
from tasks.evaluate.scores import STUDENT
from tasks.evaluate.wording import label

TABLE = RESULTS / "controls.json"
PREDICTIONS = Path(__file__).with_name("predictions.json")
NOT_RUN = "n.r."
METHODS = (STUDENT, SECOND_ROUND, REFRESHED, *CONTROLS)
_TIMED = {control.value for control in Control} - {control.value for control in MERGED}
_HOLDS = {True: "yes", False: "**no**", None: "not decided"}


def named(method: str) -> str:
    """Return a method's name for people."""
    return "MOPD" if method == STUDENT else label(method)


def controls_methods() -> str:
    """Return each method: seeds, normalized score, MOPD's lead, whether times are equal, cost."""
    found = _figures().get("methods", {})
    heads = ("method", "seeds", "normalized", "MOPD's lead", "time within 10 %")
    costs = ("tokens sampled", "tokens trained", "processor seconds")
    return _page((*heads, *costs), (_line(name, found.get(name)) for name in METHODS))


def _line(method: str, row: Mapping[str, Any] | None) -> tuple[object, ...]:
    ran = f"{row['seeds'] if row else 0} of {seeds_of(method)}"
    if row is None:
        return (named(method), ran, *[NOT_RUN] * 6)
    shares = [
        estimate(row[key], 2) if key in row else "no gain" for key in ("normalized", "mopd_lead")
    ]
    cost = [f"{value:,.0f}" for value in row["cost"].values()] if "cost" in row else ["-"] * 3
    return (named(method), ran, *shares, _time(method, row), *cost)


def _time(method: str, row: Mapping[str, Any]) -> str:
    """Return whether a control took the time of MOPD; a dash where none was given to it."""
    if method not in _TIMED:
        return "-"
    return "yes" if is_equal_time(row) else "**no**"


def controls_goals() -> str:
    """Return the goals beside what was found."""
    rows = []
    measured = _figures().get("goals")
    for each in measured or goals({}):
        if each["goal"] in LEAST:
            name = f"normalized score of {named(each['goal'])}, at least {each['least']}"
            found = estimate(each["found"], 2) if each["found"] else NOT_RUN
        else:
            name = "MOPD above every control"
            left = ", ".join(map(named, each["found"]))
            found = f"not shown for {left}" if left else "above all"
        rows.append((name, found if measured else NOT_RUN, _HOLDS[each["holds"]]))
    return _page(("goal", "found", "met"), rows)


def controls_predictions() -> str:
    """Return the predicted range of each method's normalized score, and whether it holds."""
    predictions = json.loads(PREDICTIONS.read_text("utf-8"))
    rows = [
        (
            named(each["method"]),
            "{} to {}".format(*each["normalized"]),
            NOT_RUN if each["found"] is None else f"{each['found']:.2f}",
            _HOLDS[each["holds"]],
        )
        for each in _figures().get("predictions") or judged(predictions, {})
    ]
    return _page(("method", "predicted", "found", "holds"), rows)


CONTROL_TABLES = {
    "controls_methods": controls_methods,
    "controls_goals": controls_goals,
    "controls_predictions": controls_predictions,
}


def _page(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table, and below it that nothing ran where it is so."""
    return table(heads, rows) + ("" if _figures() else f"\n{NOTHING_RAN}")


def _figures() -> dict[str, Any]:
    found: dict[str, Any] = load(TABLE, {}).get("figures", {})
    return found
