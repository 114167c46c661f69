"""Makes every summary again from the raw rows beside it: ``python -m benchmarks.common.recompute``.

Each line names a summary, and whether it is what its committed rows give. What is not listed has no
rows: benchmarks/README.md names it.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.attribution.rows import FILE as ATTRIBUTION
from benchmarks.attribution.tables import tables
from benchmarks.common.checkout import RESULTS
from benchmarks.common.prompt_rows import scorecard_of
from benchmarks.common.results import Row, load
from benchmarks.controls.__main__ import figures_of_seeds
from benchmarks.controls.shown import TABLE as CONTROLS
from benchmarks.faults.rows import report
from benchmarks.gate.cases import read
from benchmarks.gate.fresh.__main__ import figures_of_cases as fresh_figures
from benchmarks.gate.tables import figures as gate_figures
from benchmarks.map.__main__ import figures_of_cases as map_figures
from benchmarks.platform.threads import medians
from benchmarks.recipes.__main__ import figures_of_runs
from benchmarks.testbed.measure import answers_from, figures_of

_RELATIVE = 1e-6
ROUNDED = 6e-5
"""Most absolute error of a figure whose rows have four digits."""


@dataclass(frozen=True)
class Summary:
    """What is committed of a summary, and how its rows give it."""

    name: str
    committed: object
    make: Callable[[], object]
    within: float = 1e-9
    """Absolute error that is rounding."""

    def wrong(self) -> list[str]:
        """Return the places at which the rows give something else."""
        return list(differences(self.committed, self.make(), self.within))


def _figures(name: str) -> Row:
    found: Row = load(RESULTS / f"{name}.json", {})["figures"]
    return found


def _testbed(domain: str) -> Mapping[str, Any]:
    rows = _figures(f"testbed/{domain}")["rows"]
    return {when: figures_of(answers_from(own)) for when, own in rows.items()}


def _speeds(rows: Mapping[str, Any]) -> dict[str, float]:
    """Return the store's speeds over a plain copy, from the seconds of each round."""
    pairs = {"put": "plain_copy_with_hash", "get": "plain_copy_back_with_hash"}
    return {
        f"{act}_speed_over_plain": round(
            median(rows[f"{plain}_seconds"]) / median(rows[f"{act}_seconds"]), 2
        )
        for act, plain in pairs.items()
    }


def summaries() -> Iterator[Summary]:
    """Yield every summary that has rows."""
    gate_rows = RESULTS / "gate_rows.json.gz"
    yield Summary(
        "gate.json", load(RESULTS / "gate.json", {}), lambda: gate_figures(read(gate_rows))
    )
    yield Summary("gate_fresh.json", _figures("gate_fresh"), fresh_figures)
    yield Summary("map.json", _figures("map"), map_figures)
    if CONTROLS.exists():
        yield Summary("controls.json", _figures("controls"), figures_of_seeds)
    yield Summary("recipes.json", _figures("recipes"), figures_of_runs)
    yield Summary("faults.json", load(RESULTS / "faults.json", {}), report)
    yield from _from_prompts()
    threads = _figures("threads")
    yield Summary("threads.json", threads["medians"], partial(medians, threads["rows"]))
    for file in sorted((RESULTS / "testbed").glob("*.json")):
        kept = _figures(f"testbed/{file.stem}")
        committed = {when: kept[when] for when in kept["rows"]}
        yield Summary(f"testbed/{file.name}", committed, partial(_testbed, file.stem), ROUNDED)
    for holder, rows in _figures("lineage_store").items():
        if isinstance(rows, dict):
            committed = {name: value for name, value in rows.items() if "over_plain" in name}
            yield Summary(f"lineage_store.json/{holder}", committed, partial(_speeds, rows))


def _from_prompts() -> Iterator[Summary]:
    """Yield scorecards and attribution; those from before rows were kept have none."""
    for file in sorted((RESULTS / "demo").glob("*.json.gz")):
        committed = load(RESULTS / "demo.json", {})["seeds"][file.name.partition(".")[0]]
        yield Summary(f"demo.json/{file.name}", committed["scorecard"], partial(_card, file))
    for file in sorted((RESULTS / "real").glob("*.rows.json.gz")):
        step = file.name.removesuffix(".rows.json.gz")
        yield Summary(f"real/{step}.json", _figures(f"real/{step}")["card"], partial(_card, file))
    if ATTRIBUTION.exists():
        rows = load(ATTRIBUTION, {})
        yield Summary("attribution.json", _figures("attribution"), partial(tables, rows))


def _card(file: Path) -> object:
    return scorecard_of(load(file, {})).document()


def differences(one: object, other: object, within: float) -> Iterator[str]:
    """Yield the places at which two documents differ by more than rounding."""
    left, right = dict(_leaves(one)), dict(_leaves(other))
    for place in sorted({*left, *right}):
        is_there = place in left and place in right
        if not (is_there and _is_same(left[place], right[place], within)):
            yield place


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Yield what a document holds by its place; an empty part is its own."""
    parts: Iterable[tuple[object, object]] = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        yield place, value
        return
    if not value:
        yield place, ()
    for key, part in parts:
        yield from _leaves(part, f"{place}/{key}")


def _is_same(one: object, other: object, within: float) -> bool:
    if not isinstance(one, float) or not isinstance(other, float):
        return bool(one == other)
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=within)


def main() -> int:
    """Make all again; return 1 where one differs."""
    found = {summary.name: summary.wrong() for summary in summaries()}
    for name, wrong in found.items():
        line = f"differs at {', '.join(wrong)}" if wrong else "equal"
        sys.stdout.write(f"{name}: {line}\n")
    return int(any(found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
