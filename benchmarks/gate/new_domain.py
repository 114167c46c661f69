"""A domain that the fork point has never seen: how much of its teacher reaches a student?

Roman numerals join math and code by the documented commands alone: the team climbs, the gate says
`unknown` and proposes a warm-up, and the consolidation applies and measures it, with all defaults.
Needs a home with the demo's fork point and teachers.
"""

import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from shutil import copytree

from benchmarks.common.circumstances import facts, write

TEAM = "benchmarks.gate.roman"
TEACHERS = "roman@released,math@released,code@released"


def run(home: Path, *words: str) -> dict[str, object]:
    """Run a command in a home and return its document."""
    code = f"from workflows.cli import main; main({[*words, '--json']!r})"
    variables = os.environ | {"PROVOST_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, stdout=subprocess.PIPE, text=True, check=False
    )
    document: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return document


def scores(document: dict[str, object]) -> dict[str, dict[str, object]]:
    """Return the scores of a run's summary by domain."""
    rows = document["scores"]
    assert isinstance(rows, list)
    return {str(row["what"]): row for row in rows}


def main() -> None:
    """Climb, ask the gate, consolidate, and write what came of it."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="home of a finished demo; copied")
    parser.add_argument("--out", type=Path, required=True)
    given, circumstances = parser.parse_args(), facts()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        copytree(given.home, home, symlinks=True)
        figures: dict[str, object] = {"teacher": scores(run(home, "run", "teacher", TEAM))}
        gate = run(home, "gate", "--teachers", TEACHERS)
        figures["gate"] = {"verdict": gate["verdict"], "expected": scores(gate)}
        words = ("run", "consolidation", "--teachers", TEACHERS, "--on-misfit", "remedy")
        made = run(home, *words, "--publish-as", "roman")
        figures["student"] = {
            "command": " ".join(words),
            **{name: made[name] for name in ("verdict", "aliases", "warnings", "seconds")},
            "scores": scores(made),
        }
    write(given.out, figures, circumstances)


if __name__ == "__main__":
    main()
