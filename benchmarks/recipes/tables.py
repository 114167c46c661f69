"""The tables of the recipes' page, made from the rows of their runs."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.common.markdown import result, table
from tasks.evaluate.recipe_card import BASE


def recipes() -> str:
    """Return for each recipe that ran its scores, what it forgot, its cost, and its claims."""
    judged = result("recipes")["figures"]["systems"]
    heads = (
        "recipe",
        "seeds",
        "mean",
        "gain",
        "forgets",
        "drift",
        "M tokens",
        "min",
        "claims",
        "pass",
    )
    rows: list[tuple[object, ...]] = []
    order = sorted(judged, key=lambda system: -_mean(system, judged[system]["seeds"]))
    for system in order:
        found = judged[system]
        numbers = [_numbers(_card(system, seed)) for seed in found["seeds"]]
        rows.append(
            (
                system,
                len(numbers),
                *(f"{fmean(each[place] for each in numbers):.2f}" for place in range(5)),
                f"{fmean(each[5] for each in numbers):.1f}",
                f"{found['held']} of {len(found['claims'])}",
                "yes" if found["passed"] else "**no**",
            )
        )
    return table(heads, rows)


def recipe_counts() -> str:
    """Return how many recipes ran and passed."""
    figures = result("recipes")["figures"]
    places = ("recipes", "ran", "passed", "passed_with_extras")
    return table(
        ("recipes", "ran", "pass", "pass if extras count too"),
        [tuple(figures[place] for place in places)],
    )


def recipe_claims() -> str:
    """Return every claim of the recipes that ran, with what it was judged by.

    A claim in parentheses is ours alone, and does not decide.
    """
    judged = result("recipes")["figures"]["systems"]
    rows = (
        (system, _statement(each), "yes" if each["holds"] else "**no**", _value(each))
        for system, found in judged.items()
        for each in found["claims"]
    )
    return table(("recipe", "claim", "holds", "measured"), rows)


def recipe_gaps() -> str:
    """Return what of each source's smallest test was not checked."""
    judged = result("recipes")["figures"]["systems"]
    rows = ((system, found["not_checked"]) for system, found in judged.items())
    return table(("recipe", "not checked"), [row for row in rows if row[1]])


def recipe_attempts() -> str:
    """Return what failed at first, what was changed, and what came of it."""
    figures = result("recipes")["figures"]
    rows = (
        (
            system,
            "<br>".join(
                f"{_statement(each)}: {_value(each)}"
                for each in found["claims"]
                if not each["holds"]
            ),
            found["changed"],
            _outcome(figures["systems"].get(system)),
        )
        for system, found in figures["first_attempts"].items()
    )
    return table(("recipe", "failed at first", "changed", "second attempt"), rows)


def _statement(claim: Mapping[str, Any]) -> str:
    return f"({claim['claim']})" if claim["is_extra"] else str(claim["claim"])


def _outcome(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "not run yet"
    return "passed" if found["passed"] else f"{found['held']} of {len(found['claims'])}"


def _mean(system: str, seeds: Sequence[int]) -> float:
    return fmean(_numbers(_card(system, seed))[0] for seed in seeds)


def _card(system: str, seed: int) -> Mapping[str, Any]:
    found: Mapping[str, Any] = result(f"recipes/{system}-{seed}")["figures"]["card"]
    return found


def _numbers(card: Mapping[str, Any]) -> tuple[float, ...]:
    """Return mean score, gain over the base, largest forgetting, drift, tokens and minutes."""
    last = card["stages"][-1]["name"]
    mean, before = (
        fmean(score["mean"] for score in card["scores"][name].values()) for name in (last, BASE)
    )
    cost = card["cost"].values()
    return (
        mean,
        mean - before,
        max(card["forgetting"].values()),
        fmean(card["drift"][last].values()),
        sum(each["tokens_sampled"] + each["tokens_trained"] for each in cost) / 1e6,
        sum(each["processor_seconds"] for each in cost) / 60,
    )


def _value(claim: Mapping[str, Any]) -> str:
    if "interval" not in claim:
        return f"{claim['value']:.2f}"
    low, high = claim["interval"]
    return f"{claim['value']:.2f} [{low:.2f}, {high:.2f}]"
