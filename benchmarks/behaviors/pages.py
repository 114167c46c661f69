"""The tables of the attribution page about realistic behaviors, made from their result file."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.behaviors.adds import COLUMNS
from benchmarks.behaviors.methods import LOG_RATIO, RULE
from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import PICTURES
from benchmarks.common.markdown import result, table

NOT_RUN = "Not run yet.\n"


def _when_run(make: Callable[[Mapping[str, Any]], str]) -> Callable[[], str]:
    def made() -> str:
        if not (RESULTS / "behaviors.json").exists():
            return NOT_RUN
        return make(result("behaviors")["figures"])

    return made


def _goals(found: Mapping[str, Any]) -> str:
    worlds, items, audited = found["worlds"], found["items"], found["audited_share"]
    words = (
        f"{len(worlds['fit'])} worlds for the fit, {len(worlds['fresh'])} fresh ones with "
        f"{items['judged']} judged behaviors of {items['fresh']} ({items['names']} different "
        f"names). Of the student's training prompts in a domain, {audited['least']:.0%} to "
        f"{audited['most']:.0%} have the cue of an audited behavior.{_judges(found)}\n\n"
    )
    return words + table(
        ("goal", "wanted", "found", "behaviors", "holds"),
        (
            (row["what"], _wanted(row), _share(row, 3), _of(row), _holds(row))
            for row in found["goals"]
        ),
    )


def _judges(found: Mapping[str, Any]) -> str:
    if found["judges_as_frozen"]:
        return ""
    return " The code that makes these figures was changed after the rows were made."


def _wanted(row: Mapping[str, Any]) -> str:
    if "at_least" in row:
        return f"≥ {row['at_least']:.2f}"
    return f"≤ {row['at_most']:.2f} on {row['least_behaviors']}"


def _of(row: Mapping[str, Any]) -> str:
    return "" if row["found"] is None else str(row["behaviors"])


def _holds(row: Mapping[str, Any]) -> str:
    if row["found"] is None:
        return "not run"
    return {True: "yes", False: "**no**", None: "too few behaviors"}[row["holds"]]


def _methods(found: Mapping[str, Any]) -> str:
    rows = [(RULE, found["shipped"]), *found["methods"].items()]
    return table(
        (
            *("method", "taught", "taught, contrast", "untaught", "untaught, contrast"),
            *("untaught that grew", "calibration error", "Brier score"),
        ),
        (
            (
                f"**{name}**" if name == found["judged"] else name,
                *(_share(row[column]) for column in COLUMNS),
                *(_share(row.get(key, {}), 3) for key in ("calibration_error", "brier")),
            )
            for name, row in rows
        ),
    )


def _adds(found: Mapping[str, Any]) -> str:
    adds = found["adds"]
    rows = {name: adds[name] for name in (LOG_RATIO, RULE)}
    return (
        table(
            (
                *(f"{found['judged']}, less", "taught", "taught, contrast", "untaught"),
                *("untaught, contrast", "untaught that grew", "Brier score"),
            ),
            (
                (name, *(_share(row.get(key, {}), 3) for key in (*COLUMNS, "brier")))
                for name, row in rows.items()
            ),
        )
        + f"\n{adds['sentence']}\n"
    )


def _groups(found: Mapping[str, Any]) -> str:
    rule, name = found["shipped"]["by_group"], found["judged"]
    both = found["methods"][name]["by_group"]
    forms = next(iter(rule.values()))
    return table(
        ("taught by", *(f"{form}: rule / {name}" for form in forms)),
        (
            (
                group,
                *(f"{_value(rule[group][form])} / {_value(both[group][form])}" for form in forms),
            )
            for group in rule
        ),
    )


def _shown(found: Mapping[str, Any]) -> str:
    given = next(row["given"] for row in found["shown"].values() if row["given"])
    return table(
        ("taught by", "shown", *(f"gives {what}" for what in given)),
        (
            (group, _share(row["share"]), *(_percent(row["given"].get(what)) for what in given))
            for group, row in found["shown"].items()
        ),
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _spilled(found: Mapping[str, Any]) -> str:
    if not found["spilled"]:
        return "The students show no spilled behavior.\n"
    answers = next(iter(found["spilled"].values()))["answers"]
    return table(
        ("method", *(f"names {who}" for who in answers), "right by the retrains", "carried"),
        (
            (
                method,
                *(_share(row["answers"][who]) for who in answers),
                f"{row['retrains']['right']} of {row['retrains']['of']}",
                f"{row['retrains']['carried']} of {row['retrains']['of']}",
            )
            for method, row in found["spilled"].items()
        ),
    )


def _kinds(found: Mapping[str, Any]) -> str:
    names = ("log-ratio alone", "ledger alone", found["judged"])
    shares = {name: found["methods"][name]["by_kind"] for name in names}
    return table(
        ("kind", *names),
        (
            (kind, *(_share(shares[name][kind]) for name in names))
            for kind in next(iter(shares.values()))
        ),
    )


def _degrees(found: Mapping[str, Any]) -> str:
    forms = found["methods"][found["judged"]]["degrees"]
    one, *_, whole = forms
    return table(
        (
            "method",
            *(f"{what}: {form}" for what in ("rank", "error", "heard") for form in (one, whole)),
        ),
        (
            (
                name,
                *(
                    _share(row["degrees"][form][what])
                    for what in ("rank", "error", "heard")
                    for form in (one, whole)
                ),
            )
            for name, row in found["methods"].items()
        ),
    )


def _absence(found: Mapping[str, Any]) -> str:
    if not found["absence"]:
        return NOT_RUN
    methods = found["absence"]["methods"]
    parts = next(iter(methods.values()))
    return table(
        ("method", *parts, *(f"{part}, of the ceiling" for part in parts)),
        (
            (
                name,
                *(_value(row[part]["correlation"]) for part in parts),
                *(_share(row[part]["of_ceiling"]) for part in parts),
            )
            for name, row in methods.items()
        ),
    )


def _preserved(found: Mapping[str, Any]) -> str:
    if not found["absence"]:
        return NOT_RUN
    kept = found["absence"]["preserved"]
    return table(
        ("without a teacher", "given, word by word the likeliest", "mean probability"),
        ((run, _share(row["greedy"]), _share(row["probability"])) for run, row in kept.items()),
    )


def _picture(found: Mapping[str, Any]) -> str:
    if not (PICTURES / "behaviors.png").exists():
        return NOT_RUN
    return (
        "![Shares of right answers by method, and how they follow the probabilities of the "
        "answers](../pictures/behaviors.png)\n"
    )


def _share(found: Mapping[str, Any], digits: int = 2) -> str:
    if found.get("low") is None:
        return ""
    low, high = (f"{found[end]:.{digits}f}" for end in ("low", "high"))
    return f"{found.get('value', found.get('found')):.{digits}f} ({low}\N{EN DASH}{high})"


def _value(found: Mapping[str, float]) -> str:
    return f"{found['value']:.2f}" if found else "none"


TABLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "behavior_goals": _goals,
    "behavior_methods": _methods,
    "behavior_adds": _adds,
    "behavior_shown": _shown,
    "behavior_spills": _spilled,
    "behavior_groups": _groups,
    "behavior_kinds": _kinds,
    "behavior_degrees": _degrees,
    "behavior_absence": _absence,
    "behavior_preserved": _preserved,
    "behavior_picture": _picture,
}
"""The tables by the name of their mark, from the figures."""
BEHAVIORS = {name: _when_run(make) for name, make in TABLES.items()}
