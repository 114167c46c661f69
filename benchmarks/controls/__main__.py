"""Compares MOPD with every control: ``python -m benchmarks.controls run SEED | list | table``.

``run`` takes one seed through the testbed, in the store of ``PROVOST_HOME``; a call that was cut
off goes on. It writes ``results/controls/SEED.json.gz``. ``list`` prints the seeds that are left,
each with what it has. ``table`` writes ``results/controls.json`` from the seeds that ran, with
goals and predictions beside what was found. A tree with changes writes nothing.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.results import as_text, load, write_whole
from benchmarks.controls.one_seed import run_seed
from benchmarks.controls.planned import SEEDS, WHOLE, controls_of
from benchmarks.controls.shown import PREDICTIONS, TABLE
from benchmarks.controls.tables import goals, judged, summary
from workflows.commands.local import quiet

FOLDER = RESULTS / "controls"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a seed, list those that are left, or make the table."""
    parser = ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one seed")
    run.add_argument("seed", type=int, choices=SEEDS)
    commands.add_parser("list", help="print the seeds that are left")
    commands.add_parser("table", help="make the table of the seeds that ran")
    given = parser.parse_args(arguments)
    if given.command == "run":
        run_and_keep(given.seed)
    elif given.command == "list":
        sys.stdout.writelines(left())
    else:
        table()


def file_of(seed: int) -> Path:
    """Return where the row of a seed is."""
    return FOLDER / f"{seed}.json.gz"


def left() -> Iterator[str]:
    """Yield a line for each seed without a row: its number, its controls, its second round."""
    for seed in SEEDS:
        if not file_of(seed).exists():
            more = ", and a second round" if seed in WHOLE else ""
            yield f"{seed} {len(controls_of(seed))} controls{more}\n"


def run_and_keep(seed: int) -> None:
    """Run a seed, and keep its row if the tree is clean."""
    quiet()
    circumstances = facts()
    content = {"figures": run_seed(seed), "circumstances": circumstances}
    if circumstances["clean"]:
        write_whole(file_of(seed), content)


def figures_of_seeds() -> dict[str, Any]:
    """Return the figures of the table from the rows of the seeds that ran."""
    found = summary(
        [load(file_of(seed), {})["figures"] for seed in SEEDS if file_of(seed).exists()]
    )
    predictions = json.loads(PREDICTIONS.read_text("utf-8"))
    return {"methods": found, "goals": goals(found), "predictions": judged(predictions, found)}


def table() -> None:
    """Write and print the table of the seeds that ran."""
    circumstances, figures = facts(), figures_of_seeds()
    if circumstances["clean"] and figures["methods"]:
        write_whole(TABLE, {"figures": figures, "circumstances": circumstances})
    sys.stdout.write(as_text(figures))


if __name__ == "__main__":
    main()
