"""The tables of the attribution page, from ``attribution.json``; they load no torch."""

from collections.abc import Callable, Sequence
from statistics import fmean, median

from benchmarks.attribution.named_shown import (
    BEST_GUESS,
    LOG_RATIO,
    PLANTED,
    UNTAUGHT,
    Part,
    count,
    figures,
    holders_table,
    naming_table,
    plain_table,
    title,
    verdict_table,
)
from benchmarks.common.markdown import estimate, table
from tasks.statistics import t_half_width

CEILING = "a retrain of the other seed"
REHEARSAL, OTHER_SEED = "a rehearsal", "a retrain of another seed"
PAIRS = ("all", "in domain", "off domain", "subsets")
LAST_SETS = 2
"""Sets 5 and 6 were made after the last choice, and are the last of each list."""


def absence_table(found: Part) -> str:
    """Return how each estimator's ranks agree with retrains of another seed."""
    absence = found["absence"]
    names = sorted(absence, key=lambda name: -absence[name]["all"]["mean"])
    rows = [
        (
            title(name),
            *(_mean(absence[name][kind]) for kind in PAIRS),
            _means(found["absence_where_it_was_chosen"][name]),
            _means(found["absence_in_the_same_seed"][name]) if name != CEILING else "",
        )
        for name in names
    ]
    both = "all / in / off / subsets"
    return table(
        ("estimator", *PAIRS, f"sets 0, 1: {both}", f"same seed, sets 2 to 6: {both}"), rows
    )


def _mean(part: Part | None) -> str:
    return estimate(part, 2) if part else ""


def _means(part: Part) -> str:
    return " / ".join(f"{part[kind]['mean']:.2f}" if part[kind] else "-" for kind in PAIRS)


def ceiling_table(found: Part) -> str:
    """Return the share of the ceiling that guesses reach, over sets 2 to 6 and on 5 and 6 alone."""
    absence = found["absence"]

    def line(name: str, chosen: slice, what: str) -> tuple[str, ...]:
        shares = (
            fmean(absence[name][kind]["sets"][chosen])
            / fmean(absence[CEILING][kind]["sets"][chosen])
            for kind in PAIRS
        )
        return (title(name), what, *(f"{share:.0%}" for share in shares))

    parts = ((slice(None), "2 to 6"), (slice(-LAST_SETS, None), "5, 6"))
    rows = [
        line(name, chosen, what)
        for name in (BEST_GUESS, "tracin, bounded")
        for chosen, what in parts
    ]
    return table(("share of the ceiling", "sets", *PAIRS), rows)


def stand_ins_table(found: Part) -> str:
    """Return how far each substitute of a retrain is from it, and what is left in it."""
    rows = [
        (
            title(name),
            _mean(part["kl"]),
            *(f"{part[key]['mean']:.2f}" for key in ("own plants", "own style", "others")),
        )
        for name, part in found["stand_ins"].items()
    ]
    heads = (
        *("", "KL to the retrain", "plants of the absent teacher", "its office's style"),
        "all that others taught",
    )
    return table(heads, rows) + _paired(found["stand_ins"])


def _paired(parts: Part) -> str:
    """Return the rehearsal less the other seed's retrain, by set: KL, and what others taught."""
    kl, others = (
        [
            one - other
            for one, other in zip(
                parts[REHEARSAL][key]["sets"], parts[OTHER_SEED][key]["sets"], strict=True
            )
        ]
        for key in ("kl", "others")
    )
    return (
        f"\nRehearsal less a retrain of another seed, {len(kl)} sets: KL {_with_t(kl)}, larger in "
        f"{sum(each > 0 for each in kl)} of {len(kl)}; what others taught {_with_t(others)}.\n"
    )


def _with_t(values: Sequence[float]) -> str:
    mean, half = fmean(values), t_half_width(values)
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def demo_table(found: Part) -> str:
    """Return the KL from the demo's retrain without math to each substitute, by domain."""
    by_domain = found["demo"]["kl_from_retrain"]["by_domain"]
    names = ("the student", "surgery", REHEARSAL)
    return table(
        ("prompts of", *names),
        ((domain, *(f"{row[name]:.2g}" for name in names)) for domain, row in by_domain.items()),
    )


def cost_table(found: Part) -> str:
    """Return residual, processor seconds and bytes, of the benchmark and of the demo's audit."""
    whole, demo, cost = found["completeness"]["path integral"], found["demo"], found["cost"]
    rows: list[tuple[str, str, str]] = [
        ("residual of the path integral, median and largest", _percents(whole), ""),
        *(
            (f"{what}, processor seconds", f"{median(_seconds(cost, what)):.1f}", "")
            for what in cost[0]["processor_seconds"]
        ),
        ("audit of one behavior, processor seconds", "", _ends(demo["audit_processor_seconds"])),
        ("the same by the clock, seconds", "", _ends(demo["audit_wall_seconds"])),
        ("surgery by the clock, seconds", "", f"{demo['surgery_wall_seconds']:.2f}"),
        *(
            (f"{what}, MB", _megabytes(fmean(row["bytes"][what] for row in cost)), _megabytes(size))
            for what, size in demo["bytes"].items()
        ),
    ]
    return table(("", "benchmark, 0.16 M weights", "demo, 0.53 M weights"), rows)


def _seconds(cost: Sequence[Part], what: str) -> list[float]:
    return [row["processor_seconds"][what] for row in cost]


def _percents(part: Part) -> str:
    return f"{part['median']:.2%}, {part['largest']:.2%}"


def _ends(part: Part) -> str:
    return f"median {part['median']:.2f}, most {part['largest']:.2f}"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f}"


def _of_file(made: Callable[[Part], str]) -> Callable[[], str]:
    return lambda: made(figures())


def _right(kinds: Sequence[str], *, taken_up: bool) -> str:
    parts = [figures()["verdict"]["right"][kind] for kind in kinds]
    alone = figures()["naming"][LOG_RATIO]["right"]
    whole = sum(
        (part if taken_up else alone[kind])["of"] for kind, part in zip(kinds, parts, strict=True)
    )
    return f"{sum(map(count, parts))} of {whole}"


def _others(name: str) -> str:
    return f"{figures()['stand_ins'][name]['others']['mean']:.2f}"


def _holders(verdict: str) -> str:
    part = figures()["two_holders"]
    return f"{part['verdict'][verdict]} of {part['plants']}"


ATTRIBUTION: dict[str, Callable[[], str]] = {
    "attribution_plain": _of_file(plain_table),
    "attribution_naming": _of_file(naming_table),
    "attribution_verdict": _of_file(verdict_table),
    "attribution_holders": _of_file(holders_table),
    "attribution_absence": _of_file(absence_table),
    "attribution_ceiling": _of_file(ceiling_table),
    "attribution_stand_ins": _of_file(stand_ins_table),
    "attribution_demo": _of_file(demo_table),
    "attribution_cost": _of_file(cost_table),
}
"""Tables by their name on the page."""
ATTRIBUTION_FIGURES: dict[str, Callable[[], str]] = {
    "names_right_taken_up": lambda: _right(PLANTED, taken_up=True),
    "names_right": lambda: _right(PLANTED, taken_up=False),
    "names_untaught": lambda: _right([UNTAUGHT], taken_up=True),
    "names_style": lambda: _right(["style"], taken_up=False),
    "names_two_holders": lambda: _holders("who was heard"),
    "names_both_holders": lambda: _holders("both"),
    "others_rehearsal": lambda: _others(REHEARSAL),
    "others_retrain": lambda: _others(OTHER_SEED),
}
"""What stands inside a line, by name."""
