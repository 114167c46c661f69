"""The tables of the fresh family on the page of the gate's results, from ``gate_fresh.json``."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from statistics import fmean
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.common.markdown import result, table
from benchmarks.common.results import Row, load
from benchmarks.gate.fresh.family import cases
from benchmarks.gate.fresh.predictors import PREDICTORS, TITLES
from tasks.statistics import wilson

NAME = "gate_fresh"
FINGERPRINT = "intrinsic fingerprint (2507.03014)"
SPECTRA = "spectra of attention products (2511.06390)"
NOT_RUN = "*Not run yet: `python -m benchmarks.gate fresh run CASE` runs a case of {count}.*\n"


def _of_results(made: Callable[[Row], str]) -> Callable[[], str]:
    """Return a table that says so where nothing was run."""

    def shown() -> str:
        if not (RESULTS / f"{NAME}.json").exists():
            return NOT_RUN.format(count=len(list(cases())))
        return made(result(NAME)["figures"])

    return shown


def predictions_table(found: Row) -> str:
    """Return the goals and expectations from before the first case, beside what was found."""
    rows = [
        (
            each["name"],
            _limits(each["goal"]),
            _limits(each["expected"]),
            _two(each["found"]),
            {True: "met", False: "**missed**", None: ""}[each["goal_met"]],
            {True: "yes", False: "**no**", None: ""}[each["as_expected"]],
        )
        for each in found["predictions"]
    ]
    missing = len(found["missing"])
    rest = f"\n{missing} of {missing + found['cases']} cases are still to be run.\n"
    commits = ", ".join(f"`{commit[:7]}`" for commit in found["commits"])
    heads = ("figure", "goal", "we expected", "found", "goal", "as expected")
    ran = f"\nThe rows are of commit {commits} and of one gate, `{found['gate'][7:19]}`.\n"
    return table(heads, rows) + ran + (rest if missing else "")


def predictors_table(found: Row) -> str:
    """Return the AUC of each predictor, on hard and on easy cases."""
    heads = (
        "predictor",
        "hard, AUC",
        "lead of the gate's two tests on hard",
        "easy, AUC",
        "all, AUC",
        "what",
    )
    rows = []
    for name, (_, what) in PREDICTORS.items():
        hard, easy, whole = (found["auc"][part][name] for part in ("hard", "easy", "all"))
        lead = interval(hard, ("gate_leads", "lead_low", "lead_high"))
        areas = [interval(each, ("auc", "low", "high")) for each in (hard, easy, whole)]
        rows.append((title(name), areas[0], lead, areas[1], areas[2], what))
    counts = "; ".join(
        f"{name}: {count['cases']} cases, {count['lost']} lost"
        for name, count in found["counts"].items()
    )
    return table(heads, rows) + f"\n{counts}.\n"


def title(name: str) -> str:
    """Return how a table calls a predictor."""
    return TITLES.get(name, name)


def today_table(calibrated: Row) -> str:
    """Return today's first verdicts in the fresh family and in the calibrated one.

    Args:
        calibrated: The counts of the calibrated family, hard and all.
    """
    found = result(NAME)["figures"]
    families = {"fresh": found["today"], "calibrated": calibrated}
    counted = table(
        ("family", "cases", "lost, found", "not lost, held up"),
        (
            (family, part, *(_of(counts[part][what]) for what in ("found", "in_vain")))
            for family, counts in families.items()
            for part in ("hard", "all")
        ),
    )
    ends = found["today_behind_remedy"]
    return counted + (
        f"\nOf the hard fresh cases the gate refuses {len(ends['refused'])} "
        f"({', '.join(ends['refused']) or 'none'}) and sends {ends['to_remedy']} to a warm-up. "
        f"{ends['remedied']} of these were warmed up in the run, of which {len(ends['failed'])} "
        "failed. Not warmed up, so that the end is unknown: "
        f"{', '.join(ends['not_run']) or 'none'}.\n"
    )


def _of(counted: Row) -> str:
    """Return a count with its share and Wilson's interval."""
    found = wilson(counted["count"], counted["of"])
    share = f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"
    return f"{counted['count']} of {counted['of']}: {share}"


def kinds_table(found: Row) -> str:
    """Return what became of each kind: verdicts, outcome, and what the remedy brought."""
    heads = (
        *("kind", "cases", "verdicts", "final", "expected", "came (error)", "lost"),
        *("after a remedy", "probe, s"),
    )
    by_kind: dict[str, list[Row]] = defaultdict(list)
    for row in found["rows"]:
        level = f" {row['level']:g}" if row["level"] != 1 else ""
        by_kind[f"{row['kind']}{level}"].append(row)
    return table(heads, ((kind, len(rows), *_of_kind(rows)) for kind, rows in by_kind.items()))


def _of_kind(rows: list[Row]) -> tuple[object, ...]:
    after = [row["after"]["merged"] for row in rows if row["after"]]
    return (
        _tally(row["verdict"] for row in rows),
        _tally(row["final"] for row in rows),
        f"{fmean(row['expected'] for row in rows):.2f}",
        "; ".join(f"{row['share']:.2f} ({row['error']:.2f})" for row in rows),
        sum(row["lost"] for row in rows),
        f"{fmean(after):.2f}" if after else "",
        "; ".join(f"{row['probe_seconds']:.0f}" for row in rows),
    )


def remedies_table(found: Row) -> str:
    """Return refusals with their intervals, and what the remedy brought, alone and merged."""
    refusals = [
        (what, f"{part['count']} of {part['of']}", interval(part, ("share", "low", "high")))
        for what, key in (
            ("refused or to be remedied, by the first verdict", "refused_at_first"),
            ("**false refusals**: not fitting after the remedy", "false_refusals"),
            ("fits by the first verdict, and lost", "let_through"),
        )
        for part in [found[key]]
    ]
    remedy = found["remedies"]
    rows = [
        (what, f"{remedy['cases']} cases", recovered(remedy[key]))
        for what, key in (
            ("share of the loss recovered by the warm-up alone, at most 1", "alone"),
            ("by the warm-up and MOPD, at most 1", "after"),
        )
    ]
    probes = found["probe_seconds"]
    over = len(probes["over_goal"])
    rows += [
        ("seconds of the probe", f"median {probes['median']}", f"at most {probes['most']}"),
        ("of a processor", "", f"at most {probes['most_processor']}"),
    ]
    rows.append(("cases with a probe above 30 s", f"{over} of {found['cases']}", ""))
    return table(("hard cases", "number", "share"), [*refusals, *rows])


def ancestry_table(found: Row) -> str:
    """Return how many false parents are found, with and without the true one to compare with."""
    ancestry = found["ancestry"]
    heads = ("candidates", "method", "false ones found", "true ones contradicted", "AUC")
    rows = [
        (
            f"{what} the true parent",
            method,
            _two(ancestry[what][f"{prefix}found"]),
            _two(ancestry[what][f"{prefix}false_alarms"]),
            _two(ancestry[area]) if what == "without" else "",
        )
        for what in ("without", "with")
        for method, prefix, area in (
            ("the gate at the time", "", "auc_projection"),
            (FINGERPRINT, "fingerprint_", "auc_fingerprint"),
        )
    ]
    for file in sorted((RESULTS / "gate_today").glob("ancestry-*.json")):
        rows += _ancestry_now(load(file, {})["figures"])
    counts = f"\n{ancestry['true']} true declarations, {ancestry['false']} false ones.\n"
    if not any(method.startswith(SPECTRA) for _, method, *_ in rows):
        counts += f"\nNot measured on these declarations yet: {SPECTRA}.\n"
    return table(heads, rows) + counts


def _ancestry_now(figures: Row) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield what today's check and the fingerprint find on one demo's declarations."""
    demo = figures["case"].rpartition("-")[2]
    parts: dict[bool, list[Row]] = {True: [], False: []}
    for row in figures["rows"]:
        parts[row["true"]].append(row)
    for what in ("without", "with"):
        for word, flagged in _flags(what, figures["rows"][0]).items():
            found, alarms = (
                f"{fmean(marks):.2f} ({sum(marks)} of {len(marks)})"
                for true in (False, True)
                for marks in [[flagged(row) for row in parts[true]]]
            )
            yield (f"{what} the true parent", f"{word}, demo {demo}", found, alarms, "")


def _flags(what: str, row: Row) -> dict[str, Callable[[Row], bool]]:
    """Return by method whether it flags a declaration; rows may be older than a method."""
    keys = {
        "**today's gate**, refused": (f"contradicted_{what}",),
        "**today's gate**, refused or warned of": (f"contradicted_{what}", "doubtful"),
        FINGERPRINT: (f"nearer_{what}",),
        SPECTRA: (f"spectrally_nearer_{what}",),
    }
    return {
        method: _flagged(names)
        for method, names in keys.items()
        if all(name in row for name in names)
    }


def _flagged(names: tuple[str, ...]) -> Callable[[Row], bool]:
    return lambda row: any(row[name] for name in names)


FRESH = {
    "gate_fresh_predictions": _of_results(predictions_table),
    "gate_fresh_predictors": _of_results(predictors_table),
    "gate_fresh_kinds": _of_results(kinds_table),
    "gate_fresh_remedies": _of_results(remedies_table),
    "gate_fresh_ancestry": _of_results(ancestry_table),
}
"""Tables by their name on the page."""


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _limits(limits: list[float] | None) -> str:
    return "" if limits is None else f"{limits[0]:g} to {limits[1]:g}"


def interval(part: dict[str, Any], keys: tuple[str, str, str]) -> str:
    """Return a value with its limits, by their names in a part of the summary."""
    middle, low, high = (_two(part[key]) for key in keys)
    return f"{middle} ({low} to {high})" if middle else "no case of one class"


def recovered(part: dict[str, Any]) -> str:
    """Return a recovered share; an interval without width says only that every case is at 1."""
    if part["low"] == part["high"] == 1:
        return "1.00, every case at the cap"
    return interval(part, ("mean", "low", "high"))


def _tally(values: Iterable[str]) -> str:
    counted: dict[str, int] = defaultdict(int)
    for value in values:
        counted[value] += 1
    return ", ".join(f"{count} {value}" for value, count in counted.items())
