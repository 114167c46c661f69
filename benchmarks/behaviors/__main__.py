"""Measures the audit on realistic behaviors: ``python -m benchmarks.behaviors COMMAND``.

``run WORLD`` trains a world's models and audits its student, in the store of ``PROVOST_HOME``; a
call that was cut off goes on. ``absence WORLD`` retrains it without two of its teachers. A world of
the list leaves a row in ``results/behaviors``; others, and trees with changes, only print.
``list`` says what is left to run. ``table`` writes ``results/behaviors.json`` from the rows, with
the goals beside what was found, and ``picture`` draws it.
"""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.behaviors.items import FORMS, AuditItem, items_of, shipped
from benchmarks.behaviors.judging import is_right
from benchmarks.behaviors.tables import ABSENCE, FIT, FRESH, figures, judged_goals
from benchmarks.behaviors.world import GROUPS, BehaviorWorld
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

    quiet()
    circumstances, started = facts(), time.process_time()
    kind = "world" if command == "run" else command
    found = audit(BehaviorWorld(number)) if command == "run" else absence(BehaviorWorld(number))
    found["processor_minutes"] = round((time.process_time() - started) / 60, 1)
    if circumstances["clean"] and number in LISTED[kind]:
        content = {"figures": found, "circumstances": circumstances}
        write_whole(_file(FOLDER, kind, number), content)
    shown = summary(found) if command == "run" else {"left_out": found["left_out"]}
    sys.stdout.write(as_text({"processor_minutes": found["processor_minutes"], **shown}))


def summary(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return by group and form how many behaviors the student shows, and are named rightly."""
    found: dict[str, Any] = {}
    items = items_of(row)
    for group in GROUPS:
        own = [item for item in items if item.group == group]
        seen = [item for item in own if item.shown]
        found[group] = {"behaviors": len(own) // len(FORMS), "shown": len(seen) // len(FORMS)}
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


def _table() -> None:
    found = figures(kept_rows(FOLDER, "world"), kept_rows(FOLDER, "absence"))
    goals = json.loads(GOALS.read_text("utf-8"))
    content = {"goals": judged_goals(goals, found), **found}
    circumstances = facts()
    if circumstances["clean"]:
        whole = {"figures": content, "circumstances": circumstances}
        write_whole(RESULTS / "behaviors.json", whole)
    sys.stdout.write(as_text(content["goals"]))


if __name__ == "__main__":
    main()
