"""Evaluates the gate on a fresh family, once: ``python -m benchmarks.gate fresh COMMAND``.

``home SEED`` makes a demo's base, fork point and teachers; ``list`` names the cases, ``--left``
those without a row. ``run CASE`` writes ``results/gate_fresh/CASE.json``. It needs a clean tree,
and refuses a case that has a row, and a gate other than that of the rows. A call that was cut off
goes on. ``ancestry SEED`` comes after the cases of a demo; run again, it measures the check of
today, in ``results/gate_today``. ``table`` writes ``results/gate_fresh.json``, and what the gate's
page says of its reliability. ``trial`` runs a case that is not of the family, and writes nothing.
"""

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.results import Row, as_text, load, write_whole
from benchmarks.gate.fresh.family import SEEDS, FreshCase, Group, case_named, cases, group_of
from benchmarks.gate.fresh.frozen import frozen_gate, one_gate
from benchmarks.gate.fresh.summary import LOST, held, summary
from benchmarks.gate.fresh.today import write_reliability

FOLDER = RESULTS / "gate_fresh"
PREDICTIONS = Path(__file__).with_name("predictions.json")
ANCESTRY = "ancestry-"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands."""
    parser = ArgumentParser(prog="python -m benchmarks.gate fresh", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    homes = ArgumentParser(add_help=False)
    homes.add_argument("--homes", type=Path, default=Path("runs/seeds"), help="one for each seed")
    listed = commands.add_parser("list", help="name the cases")
    listed.add_argument("--left", action="store_true", help="only those without a row")
    for name in ("home", "ancestry"):
        commands.add_parser(name, parents=[homes]).add_argument("seed", type=int)
    commands.add_parser("run", parents=[homes], help="run a case").add_argument("case")
    trial = commands.add_parser("trial", parents=[homes], help="run a case not of the family")
    trial.add_argument("kind")
    trial.add_argument("domain")
    trial.add_argument("seed", type=int)
    trial.add_argument("--level", type=float, default=1.0)
    commands.add_parser("table", help="write the summary of all rows")
    given = parser.parse_args(arguments)
    COMMANDS[given.command](given)


def _list(given: Namespace) -> None:
    for case in cases():
        done = _file(case).exists()
        if not (given.left and done):
            sys.stdout.write(f"{case.name}\n" if given.left else f"{case.name}{_mark(case)}\n")


def _mark(case: FreshCase) -> str:
    return f"  {case.group.value}{', done' if _file(case).exists() else ''}"


def _file(case: FreshCase) -> Path:
    return FOLDER / f"{case.name}.json"


def rows_of(folder: Path) -> list[Row]:
    """Return the rows of the cases that ran."""
    return [content["figures"] for content in contents_of(folder)]


def contents_of(folder: Path) -> list[Row]:
    """Return the files of the cases that ran, with their circumstances."""
    files = sorted(folder.glob("*.json"))
    return [load(file, {}) for file in files if not file.name.startswith(ANCESTRY)]


def _home(given: Namespace) -> None:
    from importlib import import_module  # noqa: PLC0415 - flyte takes seconds

    from workflows.commands.local import quiet, run_locally  # noqa: PLC0415
    from workflows.foundation import foundation  # noqa: PLC0415

    quiet()
    os.environ["PROVOST_HOME"] = str((given.homes / str(given.seed)).absolute())
    run_locally(foundation, seed=given.seed)
    for domain in ("math", "code", "agent", "instruct"):
        team = import_module(f"workflows.teachers.{domain}.workflow")
        run_locally(team.climb, seed=given.seed)


def _run(given: Namespace) -> None:
    case, circumstances = case_named(given.case), clean_facts()
    if _file(case).exists():
        raise SystemExit(f"{case.name} has a row: each case is evaluated once")
    one_gate(rows_of(FOLDER), frozen_gate())
    content = {"figures": _row(given, case), "circumstances": dict(circumstances)}
    write_whole(_file(case), content)


def clean_facts() -> Mapping[str, object]:
    """Return the circumstances of a measurement.

    Raises:
        SystemExit: in a tree with changes, where nothing may be evaluated.
    """
    circumstances = facts()
    if not circumstances["clean"]:
        raise SystemExit("the tree has changes: commit them first, as a case is evaluated once")
    return circumstances


def _row(given: Namespace, case: FreshCase) -> Row:
    from benchmarks.gate.cases import family_at  # noqa: PLC0415 - torch takes seconds
    from benchmarks.gate.fresh.one_case import run_case  # noqa: PLC0415
    from workflows.commands.local import quiet  # noqa: PLC0415

    quiet()
    return run_case(family_at(given.homes, case.seed), case)


def _trial(given: Namespace) -> None:
    if given.seed in SEEDS:
        raise SystemExit(f"the demos {SEEDS} are the family's: try a case in another one")
    group = group_of(given.kind)
    row = _row(given, FreshCase(given.seed, given.kind, given.domain, given.level, group))
    del row["gate"], row["measured"]["reading"]["worst"]
    sys.stdout.write(as_text(row))


def _ancestry(given: Namespace) -> None:
    from benchmarks.gate.cases import family_at  # noqa: PLC0415
    from benchmarks.gate.fresh.ancestry import ancestry_rows  # noqa: PLC0415

    circumstances = clean_facts()
    left = [c.name for c in cases() if c.seed == given.seed and not _file(c).exists()]
    if left:
        raise SystemExit(
            f"first run the {len(left)} cases of this demo that are left, as {left[0]}"
        )
    rows = ancestry_rows(family_at(given.homes, given.seed), given.seed)
    figures = {"gate": frozen_gate(), "case": f"{ANCESTRY}{given.seed}", "rows": rows}
    content = {"figures": figures, "circumstances": dict(circumstances)}
    frozen = FOLDER / f"{ANCESTRY}{given.seed}.json"
    write_whole(RESULTS / "gate_today" / frozen.name if frozen.exists() else frozen, content)


def figures_of_cases() -> Row:
    """Return the summary of the family from the rows of its cases."""
    contents = contents_of(FOLDER)
    rows = [content["figures"] for content in contents]
    if not any(row["group"] == Group.OWN for row in rows):
        raise SystemExit("first run a case of an own teacher: the others are measured by it")
    parts = [load(file, {})["figures"] for file in sorted(FOLDER.glob(f"{ANCESTRY}*.json"))]
    digest = one_gate([*rows, *parts])
    figures = summary(rows, [row for part in parts for row in part["rows"]])
    figures["gate"] = digest
    figures["commits"] = sorted({content["circumstances"]["commit"] for content in contents})
    figures["missing"] = [case.name for case in cases() if not _file(case).exists()]
    figures["predictions"] = held(json.loads(PREDICTIONS.read_text("utf-8")), figures)
    return figures


def _table(_given: Namespace) -> None:
    figures = figures_of_cases()
    content = {"figures": figures, "circumstances": dict(clean_facts())}
    write_whole(RESULTS / "gate_fresh.json", content)
    write_reliability(figures["today"]["hard"], LOST)


COMMANDS: Mapping[str, Callable[[Namespace], None]] = {
    "list": _list,
    "home": _home,
    "run": _run,
    "trial": _trial,
    "ancestry": _ancestry,
    "table": _table,
}


if __name__ == "__main__":
    main()
