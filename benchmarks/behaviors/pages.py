"""The tables of the attribution page about realistic behaviors, made from their result file."""

from collections.abc import Callable, Mapping
from typing import Any

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
    worlds, items = found["worlds"], found["items"]
    words = (
        f"{len(worlds['fit'])} worlds for the fit, {len(worlds['fresh'])} fresh ones with "
        f"{items['fresh_shown']} questions about behaviors that the student shows, of "
        f"{items['fresh']}.\n\n"
    )
    return words + table(
        ("goal", "wanted", "found", "holds"),
        (
            (
                row["what"],
                f"≥ {row['at_least']:.2f}" if "at_least" in row else f"≤ {row['at_most']:.2f}",
                "not run" if row["found"] is None else f"{row['found']:.3f}",
                {True: "yes", False: "**no**", None: ""}[row["holds"]],
            )
            for row in found["goals"]
        ),
    )


def _methods(found: Mapping[str, Any]) -> str:
    rows = [("the product's rule", found["shipped"]), *found["methods"].items()]
    return table(
        (
            *("method", "taught", "taught, contrast", "untaught", "untaught, contrast"),
            *("calibration error", "Brier score"),
        ),
        (
            (
                f"**{name}**" if name == found["judged"] else name,
                *(
                    _share(row[key])
                    for key in ("taught", "taught_contrast", "untaught", "untaught_contrast")
                ),
                *(_share(row.get(key, {}), 3) for key in ("calibration_error", "brier")),
            )
            for name, row in rows
        ),
    )


def _groups(found: Mapping[str, Any]) -> str:
    rule, name = found["shipped"]["by_group"], found["judged"]
    both = found["methods"][name]["by_group"]
    forms = next(iter(rule.values()))
    return table(
        ("taught by", "shown", *(f"{form}: rule / {name}" for form in forms)),
        (
            (
                group,
                _share(shown),
                *(f"{_value(rule[group][form])} / {_value(both[group][form])}" for form in forms),
            )
            for group, shown in found["shown"].items()
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
    return table(
        ("rank correlation of shares", *forms),
        (
            (name, *(_correlation(row["degrees"][form]) for form in forms))
            for name, row in found["methods"].items()
        ),
    )


def _correlation(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _absence(found: Mapping[str, Any]) -> str:
    if not found["absence"]:
        return NOT_RUN
    kept = found["absence"]["preserved"]
    of_others = ", ".join(f"{run} {share:.2f}" for run, share in kept.items())
    return (
        table(
            ("method", "rank correlation", "of the ceiling"),
            (
                (
                    name,
                    f"{row['correlation']:.2f}",
                    f"{row['of_ceiling']:.2f} ({row['low']:.2f}\N{EN DASH}{row['high']:.2f})",
                )
                for name, row in found["absence"]["methods"].items()
            ),
        )
        + f"\nWhat other teachers taught, without a teacher: {of_others}.\n"
    )


def _picture(found: Mapping[str, Any]) -> str:
    if not (PICTURES / "behaviors.png").exists():
        return NOT_RUN
    return (
        "![Shares of right answers by method, and how they follow the probabilities of the "
        "answers](../pictures/behaviors.png)\n"
    )


def _share(found: Mapping[str, float], digits: int = 2) -> str:
    if not found:
        return ""
    low, high = (f"{found[end]:.{digits}f}" for end in ("low", "high"))
    return f"{found['value']:.{digits}f} ({low}\N{EN DASH}{high})"


def _value(found: Mapping[str, float]) -> str:
    return f"{found['value']:.2f}" if found else "none"


BEHAVIORS: Mapping[str, Callable[[], str]] = {
    "behavior_goals": _when_run(_goals),
    "behavior_methods": _when_run(_methods),
    "behavior_groups": _when_run(_groups),
    "behavior_kinds": _when_run(_kinds),
    "behavior_degrees": _when_run(_degrees),
    "behavior_absence": _when_run(_absence),
    "behavior_picture": _when_run(_picture),
}
"""The tables by the name of their mark."""
