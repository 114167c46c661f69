"""Measures the audit on realistic behaviors: ``python -m benchmarks.behaviors COMMAND``.

``run WORLD`` trains a world's models and audits its student, in the store of ``PROVOST_HOME``; a
call that was cut off goes on. ``absence WORLD`` retrains it without two of its teachers. A world of
the list leaves a row in ``results/behaviors``, once, from a tree without changes; all rows are of
one state of code and numbers. Other worlds only print. Of a fresh world no outcome is printed.
``list`` says what is left to run. ``table`` writes ``results/behaviors.json`` from the rows, with
the goals beside what was found, and ``picture`` draws it.
"""

import json
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.behaviors.frozen import frozen, judges, one_state
from benchmarks.behaviors.goals import judged_goals
from benchmarks.behaviors.items import FORMS, AuditItem, items_of, shipped
from benchmarks.behaviors.judging import is_right
from benchmarks.behaviors.tables import ABSENCE, figures
from benchmarks.behaviors.taught import GROUPS
from benchmarks.behaviors.world import FIT, FRESH, BehaviorWorld
from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.results import as_text, load, write_whole
from workflows.commands.local import quiet

FOLDER = RESULTS / "behaviors"
GOALS = Path(__file__).with_name("goals.json")
LISTED = {"world": (*FIT, *FRESH), "absence": ABSENCE}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands."""
    parser = ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "absence"):
        command = commands.add_parser(name)
        command.add_argument("world", type=int)
    for name in ("list", "table", "picture"):
        commands.add_parser(name)
    given = parser.parse_args(arguments)
    if given.command in {"run", "absence"}:
        _measure(given.command, given.world)
    elif given.command == "list":
        sys.stdout.write("".join(f"{line}\n" for line in left_to_run(FOLDER)))
    elif given.command == "table":
        _table()
    else:
        from benchmarks.behaviors.picture import draw  # noqa: PLC0415 - matplotlib is slow

        draw(load(RESULTS / "behaviors.json", {})["figures"])


def _measure(command: str, number: int) -> None:
    from benchmarks.behaviors.run import absence, audit  # noqa: PLC0415 - torch is slow

    kind = "world" if command == "run" else command
    circumstances, state = admitted(FOLDER, kind, number), frozen()
    quiet()
    started = time.process_time()
    found = audit(BehaviorWorld(number)) if command == "run" else absence(BehaviorWorld(number))
    found["frozen"] = state
    found["processor_minutes"] = round((time.process_time() - started) / 60, 1)
    if number in LISTED[kind]:
        content = {"figures": found, "circumstances": circumstances}
        write_whole(_file(FOLDER, kind, number), content)
    sys.stdout.write(as_text(printed(kind, found)))


def admitted(folder: Path, kind: str, number: int) -> Mapping[str, object]:
    """Return the circumstances of a run that may begin.

    Raises:
        SystemExit: for a world of the list that has its row, in a tree with changes, or beside rows
            of another state.
    """
    circumstances = facts()
    if number not in LISTED[kind]:
        return circumstances
    if _file(folder, kind, number).exists():
        raise SystemExit(
            f"{_file(folder, kind, number).name} exists: each world is measured once. Move all "
            "rows away to measure again"
        )
    if not circumstances["clean"]:
        raise SystemExit("the tree has changes: commit them first, as a world is measured once")
    one_state(every_row(folder), frozen())
    return circumstances


def printed(kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run prints: of a fresh world, nothing that it found."""
    said = {"world": row["world"], "processor_minutes": row["processor_minutes"]}
    if row["world"] in FRESH:
        return said
    return {**said, **(summary(row) if kind == "world" else {"left_out": row["left_out"]})}


def summary(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return by group and form how many behaviors the student shows, and are named rightly."""
    found: dict[str, Any] = {"audited_share": row["audited_share"]}
    items = items_of(row)
    for group in GROUPS:
        own = [item for item in items if item.group == group]
        seen = [item for item in own if item.shown]
        found[group] = {"behaviors": len(own) // len(FORMS), "shown": len(seen) // len(FORMS)}
        found[group]["given"] = Counter(item.given for item in seen if item.form == FORMS[-1])
        found[group]["median_log_odds"] = _log_odds([i for i in own if i.form == FORMS[-1]])
        for form in FORMS:
            found[group][form] = sum(
                is_right(shipped(item), item.truth) for item in seen if item.form == form
            )
    return found


def _log_odds(sets: Sequence[AuditItem]) -> dict[str, float]:
    """Return medians of a behavior against the ordinary answer: how far training took it."""
    found = {
        "fork": [item.begun for item in sets],
        "teacher": [item.begun + max(item.tables["taught"].values()) for item in sets],
        "student": [item.ended for item in sets],
    }
    return {name: round(median(values), 2) for name, values in found.items() if values}


def left_to_run(folder: Path) -> list[str]:
    """Return the commands of the rows that are not there yet."""
    words = {"world": "run", "absence": "absence"}
    return [
        f"python -m benchmarks.behaviors {words[kind]} {number}"
        for kind, numbers in LISTED.items()
        for number in numbers
        if not _file(folder, kind, number).exists()
    ]


def _file(folder: Path, kind: str, number: int) -> Path:
    return folder / f"{kind}-{number}.json.gz"


def kept_rows(folder: Path, kind: str) -> dict[int, dict[str, Any]]:
    """Return the committed rows of a kind by world."""
    files = {number: _file(folder, kind, number) for number in LISTED[kind]}
    return {n: load(file, {})["figures"] for n, file in files.items() if file.exists()}


def every_row(folder: Path) -> dict[str, dict[str, Any]]:
    """Return all committed rows by name."""
    return {
        f"{kind}-{number}": row
        for kind in LISTED
        for number, row in kept_rows(folder, kind).items()
    }


def table_of(folder: Path) -> dict[str, Any]:
    """Return all figures of the rows in a folder, with the goals.

    ``judges_as_frozen`` says whether the figures are made as the rows were when they were made.

    Raises:
        SystemExit: for rows of different states.
    """
    rows = every_row(folder)
    one_state(rows)
    found = figures(kept_rows(folder, "world"), kept_rows(folder, "absence"))
    as_frozen = {row["frozen"]["judges"] for row in rows.values()} == {judges()}
    goals = json.loads(GOALS.read_text("utf-8"))
    return {"goals": judged_goals(goals, found), "judges_as_frozen": as_frozen, **found}


def _table() -> None:
    content, circumstances = table_of(FOLDER), facts()
    if circumstances["clean"]:
        whole = {"figures": content, "circumstances": circumstances}
        write_whole(RESULTS / "behaviors.json", whole)
    sys.stdout.write(as_text(content["goals"]))


if __name__ == "__main__":
    main()
