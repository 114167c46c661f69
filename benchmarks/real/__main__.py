"""The proof on a real model, step by step: SmolLM2-135M-Instruct and four teams.

Questions and graders come from public packages (reasoning-gym, math-verify, if-verifiable). The
teams climb by SFT and RL, the gate judges, MOPD merges with three seeds, and beside it are the
average of the weights, task arithmetic, and SFT on the teachers' graded answers for about the same
processor time, by estimate. The numbers are in ``settings.py``, fixed before any merged score was
seen.

    python -m benchmarks.real model                  # fetch, convert, import, lock the graders
    python -m benchmarks.real team reversal          # and sums, calculator, checked
    python -m benchmarks.real gate
    python -m benchmarks.real merge 0                # and 1, 2; with average and task arithmetic
    python -m benchmarks.real off_policy 0           # and 1, 2
    python -m benchmarks.real scorecard 0            # and 1, 2
    python -m benchmarks.real audit
    python -m benchmarks.real table                  # what is there, and what comes next
    python -m benchmarks.real picture                # docs/pictures/real.png

Each call takes at most ``--minutes`` and uses one thread. A step that is not finished then ends
with status 75; the same command goes on. Rows lie in ``benchmarks/results/real``, one a step; a
tree with changes writes drafts into the home folder.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.common.circumstances import PICTURES
from benchmarks.real.bench import Bench, UnfinishedStepError
from benchmarks.real.settings import SEEDS, TEAMS
from benchmarks.real.steps import STEPS, MissingStepError
from benchmarks.real.table import as_table, draw

UNFINISHED = 75
_OF_SEEDS = ("merge", "off_policy", "scorecard")


def main() -> None:
    """Take one step, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=(*STEPS, "table", "picture"))
    parser.add_argument("which", nargs="?", help="Name of a team, or seed.")
    parser.add_argument("--home", type=Path, default=Path("runs/real"))
    parser.add_argument("--minutes", type=float, default=20.0, help="Time of this call.")
    given = parser.parse_args()
    bench = Bench(given.home, given.minutes)
    if given.step == "table":
        sys.stdout.write(as_table(bench))
        return
    which = _which(parser, given.step, given.which)
    try:
        if given.step == "picture":
            draw(bench, PICTURES / "real.png")
            return
        figures = STEPS[given.step](bench, *which)
    except UnfinishedStepError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(UNFINISHED) from None
    except MissingStepError as error:
        raise SystemExit(str(error)) from None
    bench.finish("_".join([given.step, *map(str, which)]), figures)


def _which(parser: argparse.ArgumentParser, step: str, given: str | None) -> list[str | int]:
    """Return the team or the seed of a step; an empty list for a step that has neither."""
    known: dict[str, str | int] = {}
    if step == "team":
        known = {name: name for name in TEAMS}
    elif step in _OF_SEEDS:
        known = {str(seed): seed for seed in SEEDS}
    if not known and given is None:
        return []
    if given not in known:
        parser.error(f"{step} takes {'one of ' + ', '.join(known) if known else 'no name'}")
    return [known[str(given)]]


if __name__ == "__main__":
    main()
