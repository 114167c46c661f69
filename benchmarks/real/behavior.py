"""A behavior that one team's data put into the real model: is it traced behind the merge?

A fifth team on SmolLM2-135M-Instruct, `branded`, recommends things, and tea always by its brand:
that is 4 % of its data. It is merged with the proof's `checked` as the proof merges. The audit is
then asked about the brand where its team is asked, about the brand where it spilled into the other
team's requests, about what the other team taught, and about answers from before (``planted.py``).

    python -m benchmarks.real.behavior climb      # behind `benchmarks.real team checked`
    python -m benchmarks.real.behavior merge
    python -m benchmarks.real.behavior audit

Each call takes at most ``--minutes``, uses one thread, and ends with status 75 where the step is
not finished. It works in the proof's home.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.real.bench import Bench, UnfinishedStepError
from benchmarks.real.planted import AUDITS, SEED, STUDENT, judged, read, rows_of
from benchmarks.real.settings import MERGE

UNFINISHED = 75
ROWS = RESULTS / "real_behavior"
TEACHERS = "checked@1,branded@1"
NAME = STUDENT.removeprefix("student.").partition("@")[0]


def climb(bench: Bench) -> dict[str, Any]:
    """Climb: SFT on the data with the brand, RL, release."""
    package = "benchmarks.real.teams.branded"
    made = bench.run("climb", "run", "teacher", package, "--json")
    return {"verdict": made["verdict"], **bench.run("climb", "climbed", "branded")}


def merge(bench: Bench) -> dict[str, Any]:
    """Merge both teachers as the proof does, with the ledger."""
    words = ("run", "consolidation", "--teachers", TEACHERS, "--publish-as", NAME, *MERGE)
    made = bench.run("merge", *words, "--ledger-displacements", "--seed", str(SEED), "--json")
    return {"verdict": made["verdict"], "digest": made["digest"], "scores": made["scores"]}


def audit(bench: Bench) -> dict[str, Any]:
    """Ask the student, and audit what it answers."""
    folder = bench.home.resolve() / "planted"
    shown = bench.run("audit", "planted", str(folder))
    found: dict[str, Any] = {"seed": SEED, "shown": shown}
    for kind in AUDITS:
        out = folder / kind
        asked = ("--behaviors", str(folder / f"{kind}.jsonl"), "--out", str(out))
        made = bench.run("audit", "audit", STUDENT, *asked, "--json")
        document = read(out)
        found[kind] = {
            "verdict": made["verdict"],
            "residual": document.residual,
            "sets": judged(document, kind),
            "behaviors": rows_of(document),
        }
    return found


STEPS: Mapping[str, Callable[[Bench], dict[str, Any]]] = {
    "climb": climb,
    "merge": merge,
    "audit": audit,
}


def main() -> None:
    """Take one step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--home", type=Path, default=Path("runs/real"))
    parser.add_argument("--minutes", type=float, default=20.0, help="Time of this call.")
    given = parser.parse_args()
    bench = Bench(given.home, given.minutes, rows=ROWS)
    try:
        figures = STEPS[given.step](bench)
    except UnfinishedStepError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(UNFINISHED) from None
    bench.finish(given.step, figures)


if __name__ == "__main__":
    main()
