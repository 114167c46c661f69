"""Compares MOPD with every control: ``python -m benchmarks.controls run SEED | table``.

``run`` takes one seed through the testbed, in the store of ``PROVOST_HOME``; a call that was cut
off goes on. It writes ``results/controls/SEED.json.gz``. ``table`` writes ``results/controls.json``
from the seeds that ran, with the predictions beside what was found. A tree with changes writes
nothing.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.results import as_text, load, write_whole
from benchmarks.controls.one_seed import run_seed
from benchmarks.controls.tables import judged, summary
from workflows.commands.local import quiet

FOLDER = RESULTS / "controls"
PREDICTIONS = Path(__file__).with_name("predictions.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a seed, or make the table."""
    parser = ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one seed")
    run.add_argument("seed", type=int)
    commands.add_parser("table", help="make the table of the seeds that ran")
    given = parser.parse_args(arguments)
    circumstances = facts()
    if given.command == "run":
        quiet()
        content = {"figures": run_seed(given.seed), "circumstances": circumstances}
        if circumstances["clean"]:
            write_whole(FOLDER / f"{given.seed}.json.gz", content)
        return
    kept = [load(file, {})["figures"] for file in sorted(FOLDER.glob("*.json.gz"))]
    found = summary([each["rows"] for each in kept], [each["costs"] for each in kept])
    predictions = json.loads(PREDICTIONS.read_text("utf-8"))
    figures = {"methods": found, "predictions": judged(predictions, found)}
    if circumstances["clean"]:
        content = {"figures": figures, "circumstances": circumstances}
        write_whole(RESULTS / "controls.json", content)
    sys.stdout.write(as_text(figures))


if __name__ == "__main__":
    main()
