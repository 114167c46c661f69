"""Runs and judges recipes: ``python -m benchmarks.recipes run SYSTEM | check | atlas FILE``.

``run`` makes one recipe with one seed at the scale tiny. Its steps are in the store of
``PROVOST_HOME``, so a call that was cut off goes on; the recipe's stages may share the base with
others. It writes ``results/recipes/SYSTEM-SEED.json`` and the rows beside it; a tree with changes
writes nothing. ``check`` judges each recipe by its claims, over the seeds that ran, and writes
``results/recipes.json``. ``atlas`` draws the atlas from the committed rows.

A recipe that failed gets one second attempt: its rows move to ``results/recipes/first``, its claims
state as ``CHANGED`` what was changed and why, and it runs again.
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.results import as_text, load, write_whole
from benchmarks.recipes.evidence import Evidence, as_row, gather
from benchmarks.recipes.judged import changed, claims_of, first_claims_of, judged
from tasks.contracts.scale import Scale
from tasks.evaluate.atlas import atlas_page
from tasks.platform.step_runner import StepRunner
from workflows.commands.local import quiet, run_locally
from workflows.commands.recipe import recipe_module, systems

FOLDER = RESULTS / "recipes"
FIRST = FOLDER / "first"
"""Runs of first attempts that failed."""
ROWS = ".rows.json.gz"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the three commands."""
    parser = ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a recipe at the scale tiny")
    run.add_argument("system", choices=systems())
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--scale", type=Scale, default=Scale.TINY, help="micro tries the command out")
    commands.add_parser("check", help="judge the recipes that ran")
    atlas = commands.add_parser("atlas", help="draw the atlas of the recipes that ran")
    atlas.add_argument("file", type=Path)
    given = parser.parse_args(arguments)
    if given.command == "run":
        run_recipe(given.system, given.scale, given.seed)
    elif given.command == "check":
        check()
    else:
        given.file.write_text(atlas_of(kept_runs(FOLDER)), encoding="utf-8")


def run_recipe(system: str, scale: Scale, seed: int) -> None:
    """Run a recipe, and keep its evidence if the tree is clean and the scale is tiny."""
    claims_of(system)  # a recipe without claims is not run
    quiet()
    circumstances, started = facts(), time.monotonic()
    made = run_locally(getattr(recipe_module(system), system), scale=scale, seed=seed)
    minutes = (time.monotonic() - started) / 60
    evidence = gather(StepRunner(), made.card.record)
    row = as_row(evidence)
    figures = {"minutes": round(minutes, 1), "card": row["card"]}
    if circumstances["clean"] and scale is Scale.TINY:
        content = {"figures": figures, "circumstances": circumstances}
        write_whole(FOLDER / f"{system}-{seed}.json", content)
        write_whole(FOLDER / f"{system}-{seed}{ROWS}", row)
    sys.stdout.write(as_text({"minutes": minutes, **judged(system, [evidence])}))


def figures_of_runs() -> dict[str, Any]:
    """Return the judgment of each recipe over its seeds, from the rows of its runs."""
    found = {system: judged(system, runs) for system, runs in kept_runs(FOLDER).items()}
    first = {
        system: {"changed": changed(system), **judged(system, runs, first_claims_of(system))}
        for system, runs in kept_runs(FIRST).items()
    }
    return {
        "recipes": len(systems()),
        "ran": len(found),
        "passed": sum(bool(row["passed"]) for row in found.values()),
        "passed_with_extras": sum(
            row["passed"] and row["held"] == len(row["claims"]) for row in found.values()
        ),
        "systems": found,
        "first_attempts": first,
    }


def check() -> None:
    """Judge each recipe over its seeds."""
    circumstances, figures = facts(), figures_of_runs()
    if circumstances["clean"]:
        content = {"figures": figures, "circumstances": circumstances}
        write_whole(RESULTS / "recipes.json", content)
    sys.stdout.write(as_text(figures))


def kept_runs(folder: Path) -> dict[str, list[Evidence]]:
    """Return the committed runs of each recipe in a folder, by seed."""
    found: dict[str, list[Evidence]] = {}
    for file in sorted(folder.glob(f"*{ROWS}")):
        row: dict[str, Any] = load(file, {})
        evidence = Evidence.model_validate(row)
        found.setdefault(evidence.card.label.system, []).append(evidence)
    return found


def atlas_of(runs: Mapping[str, Sequence[Evidence]]) -> str:
    """Return the atlas of committed runs."""
    texts = systems()
    rows = [run.atlas_row(*texts[system]) for system, found in runs.items() for run in found]
    return atlas_page(rows, Scale.TINY)


if __name__ == "__main__":
    main()
