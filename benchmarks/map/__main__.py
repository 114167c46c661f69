"""Draws the map: ``python -m benchmarks.map run POINT SEED | list | table | picture``.

``run`` takes a point through the testbed with one seed, in the store of ``PROVOST_HOME``; a call
that was cut off goes on. It writes ``results/map/POINT-SEED.json.gz``, and prints what the case
took and what its teachers gained, not which method won. ``list`` prints the cases that are left,
one a line. ``table`` writes ``results/map.json`` from the cases that ran, with the predictions
beside what was found, and ``picture`` draws it. Where Mix-RL is the center's, ``table`` takes it
from the center of the same seed, and leaves a case out until that ran. A tree with changes writes
no result.
"""

import json
import resource
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.results import as_text, load, write_whole
from benchmarks.common.shares import score
from benchmarks.map.case import run_case
from benchmarks.map.picture import PICTURE, draw
from benchmarks.map.points import CENTER, SEEDS, points, shares_mix_rl
from benchmarks.map.tables import PREDICTIONS, courses, judged, point_figures, with_mix_rl_of
from tasks.evaluate.scores import FORK_POINT, TEACHER
from workflows.commands.local import quiet

FOLDER = RESULTS / "map"
TABLE = RESULTS / "map.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a case, list those that are left, or make table or picture."""
    parser = ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one point with one seed")
    run.add_argument("point", choices=[*points()])
    run.add_argument("seed", type=int)
    commands.add_parser("list", help="print the cases that are left")
    commands.add_parser("table", help="make the table of the cases that ran")
    commands.add_parser("picture", help="draw the table")
    given = parser.parse_args(arguments)
    if given.command == "run":
        run_and_keep(given.point, given.seed)
    elif given.command == "list":
        sys.stdout.writelines(f"{point} {seed}\n" for point, seed in left())
    elif given.command == "table":
        table()
    else:
        draw(load(TABLE, {})["figures"], PICTURE)


def file_of(point: str, seed: int) -> Path:
    """Return where the row of a case is."""
    return FOLDER / f"{point}-{seed}.json.gz"


def left() -> Iterator[tuple[str, int]]:
    """Yield the cases without a row; the points of a seed come one after another."""
    for seed in SEEDS:
        for point in points():
            if not file_of(point, seed).exists():
                yield point, seed


def run_and_keep(point: str, seed: int) -> None:
    """Run a case, keep its row if the tree is clean, and print time and the teachers' gain."""
    quiet()
    circumstances, before = facts(), processor_seconds()
    figures = run_case(point, points()[point], seed)
    figures["call_seconds"] = round(processor_seconds() - before, 1)
    if circumstances["clean"]:
        write_whole(file_of(point, seed), {"figures": figures, "circumstances": circumstances})
    sys.stdout.write(as_text(without_outcome(figures)))


def cases_of(point: str) -> Iterator[dict[str, Any]]:
    """Yield the figures of a point's seeds that ran, with the center's Mix-RL where it is that."""
    is_shared = shares_mix_rl(points()[point])
    for seed in SEEDS:
        case = load(file_of(point, seed), {}).get("figures")
        center = load(file_of(CENTER, seed), {}).get("figures") if is_shared else None
        if case and is_shared and center:
            yield with_mix_rl_of(case, center)
        elif case and not is_shared:
            yield case


def without_outcome(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a case says before anyone may know which method won."""
    rows = figures["rows"]
    return {
        "call_seconds": figures["call_seconds"],
        "before": figures["before"],
        "costs": figures["costs"],
        "teachers": {
            domain: {name: round(score(rows, name, domain), 3) for name in (FORK_POINT, TEACHER)}
            for domain in rows[TEACHER]
        },
    }


def processor_seconds() -> float:
    """Return the processor time of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def figures_of_cases() -> dict[str, Any]:
    """Return the figures of the table from the rows of the cases that ran."""
    kept = {point: list(cases_of(point)) for point in points()}
    found = {point: point_figures(cases) for point, cases in kept.items() if cases}
    measured = {point: figures for point, figures in found.items() if figures["methods"]}
    predictions = json.loads(PREDICTIONS.read_text("utf-8"))
    return {
        "points": found,
        "courses": courses(measured),
        "predictions": judged(predictions, measured),
    }


def table() -> None:
    """Write and print the table of the cases that ran."""
    circumstances, figures = facts(), figures_of_cases()
    if circumstances["clean"]:
        write_whole(TABLE, {"figures": figures, "circumstances": circumstances})
    sys.stdout.write(as_text(figures))


if __name__ == "__main__":
    main()
