"""Makes the attribution benchmark's tables from what was asked; nothing is trained or scored here.

A set of teachers is one sample: figures are means over sets, with Student's t intervals; but shares
of behaviors, see ``_attribution_naming``.
"""

import math
import statistics
from collections.abc import Iterable, Sequence

from benchmarks.attribution import holders
from benchmarks.attribution.answers import Answers, Table, read
from benchmarks.attribution.naming import TUNED_ON, naming, verdict
from benchmarks.attribution.questions import NOBODY, OFF, OWN, SHARED, STYLE
from benchmarks.attribution.world import OFFICES, TEACHERS
from benchmarks.common.results import Row
from benchmarks.common.statistics import rank_correlation
from tasks.attribution.counterfactual import over_seeds

CEILING = "a retrain of the other seed"


def tables(rows: Row) -> dict[str, object]:
    """Return all tables of the sets that were asked about."""
    numbers = [int(number) for number in rows["sets"]]
    first = [found for n in numbers if (found := read(rows, n, 0)) and found.tables]
    both = [
        (one, other) for n in numbers if (one := read(rows, n, 0)) and (other := read(rows, n, 1))
    ]
    names = list(dict.fromkeys(name for found in first for name in found.tables))
    chose, tests = (
        [p for p in both if (p[0].number in TUNED_ON) == tuned] for tuned in (True, False)
    )
    return {
        "sets": len(first),
        "behaviors_of_a_set": {
            t: len(first[0].places(t)) for t in (OWN, SHARED, OFF, STYLE, NOBODY)
        },
        "chosen_on": TUNED_ON,
        "naming": naming(first),
        "verdict": verdict(first),
        "absence": _absences(tests, names),
        "absence_where_it_was_chosen": _absences(chose, names),
        "absence_in_the_same_seed": {
            name: _absence([(a, a) for a, _ in tests], name) for name in names
        },
        "noise": _noise(both),
        "completeness": _completeness(first),
        "stand_ins": _stand_ins(first),
        "two_holders": holders.table(
            [held for a in first if (held := rows["sets"][str(a.number)]["two_holders"])]
        ),
        "wall_seconds_of_a_sets_behaviors": _seconds(first),
        "cost": [a.others["cost"] for a in first if a.others["cost"]],
        "demo": rows["demo"],
    }


def _absences(
    both: Sequence[tuple[Answers, Answers]], names: Iterable[str]
) -> dict[str, dict[str, object]]:
    """Return by estimator how it agrees with retrains of another seed; and how these do."""
    return {name: _absence(both, name) for name in names} | {CEILING: _ceiling(both)}


def _absence(both: Sequence[tuple[Answers, Answers]], name: str) -> dict[str, object]:
    with_it = [(a, b) for a, b in both if name in a.tables]
    return _agreement([(a.tables[name], b.truth, a) for a, b in with_it]) | {
        "subsets": _over(
            _subsets(a.told.get(name) or _summed(a, a.tables[name]), b) for a, b in with_it
        )
    }


def _ceiling(both: Sequence[tuple[Answers, Answers]]) -> dict[str, object]:
    return _agreement([(a.truth, b.truth, a) for a, b in both]) | {
        "subsets": _over(_subsets({run: a.effect(run) for run in a.masks}, b) for a, b in both)
    }


def _agreement(cases: Sequence[tuple[Table, Table, Answers]]) -> dict[str, object]:
    """Return rank correlations between two tables: over all pairs, the taught, and all others."""
    return {
        "all": _over(_ranked(one, two, _pairs(a)) for one, two, a in cases),
        "in domain": _over(_ranked(one, two, _taught(a)) for one, two, a in cases),
        "off domain": _over(_ranked(one, two, _strange(a)) for one, two, a in cases),
    }


def _pairs(answers: Answers) -> list[tuple[str, int]]:
    return [(t, place) for place in range(len(answers.asked)) for t in TEACHERS]


def _taught(answers: Answers) -> list[tuple[str, int]]:
    return [(answers.asked[p]["teacher"], p) for p in answers.places(OWN, SHARED, STYLE)]


def _strange(answers: Answers) -> list[tuple[str, int]]:
    """Return teachers with behaviors that they neither taught nor had in their domain."""
    return [
        (teacher, place)
        for teacher, place in _pairs(answers)
        if teacher != answers.asked[place]["teacher"]
        and teacher not in OFFICES.get(answers.asked[place]["domain"], ())
    ]


def _ranked(one: Table, two: Table, pairs: Iterable[tuple[str, int]]) -> float:
    listed = list(pairs)
    return rank_correlation([one[t][p] for t, p in listed], [two[t][p] for t, p in listed])


def _summed(answers: Answers, table: Table) -> Table:
    """Return by retrain what an estimator says of it: the sum over those who were left out."""
    places = range(len(answers.asked))
    return {
        run: [sum(table[t][place] for t in masked) for place in places]
        for run, masked in answers.masks.items()
    }


def _subsets(told: Table, answers: Answers) -> float:
    """Return the linear datamodelling score (2303.14186, eq. 5): its mean over behaviors.

    Whoever says the same of all retrains has said nothing of them, which counts as 0.
    """
    true = {run: answers.effect(run) for run in answers.masks}
    scores = [
        rank_correlation([told[run][p] for run in told], [true[run][p] for run in told])
        for p in range(len(answers.asked))
    ]
    return statistics.fmean(0.0 if math.isnan(score) else score for score in scores)


def _noise(both: Sequence[tuple[Answers, Answers]]) -> dict[str, dict[str, object]]:
    """Return how large effects are and how far two seeds' lie apart: medians of a set, in nats."""
    kinds = {"in domain": _taught, "off domain": _strange}
    return {
        kind: {
            "effect": _over(
                statistics.median(abs(a.truth[t][p]) for t, p in pairs_of(a)) for a, _ in both
            ),
            "between seeds": _over(
                statistics.median(abs(a.truth[t][p] - b.truth[t][p]) for t, p in pairs_of(a))
                for a, b in both
            ),
        }
        for kind, pairs_of in kinds.items()
    }


def _completeness(found: Sequence[Answers]) -> dict[str, object]:
    figures: dict[str, object] = {}
    for name in ("path integral", "replayed integral"):
        all_of = [r for a in found for r in a.others["estimates"]["residuals"][name]]
        figures[name] = {
            "largest": max(all_of),
            "median": statistics.median(all_of),
            "share_within_a_hundredth": sum(r <= 0.01 for r in all_of) / len(all_of),
        }
    return figures


def _stand_ins(found: Sequence[Answers]) -> dict[str, dict[str, object]]:
    """Return how far each stand-in's words are from the retrain's, KL in nats, and its scores."""
    by_set = [list(a.others["rehearsals"]["stand_ins"].values()) for a in found]
    [[first, *_], *_] = by_set
    return {
        name: {
            key: _over(statistics.fmean(row[name][key] for row in rows) for rows in by_set)
            for key in figures
        }
        for name, figures in first.items()
    }


def _seconds(found: Sequence[Answers]) -> dict[str, float]:
    """Return the median seconds over sets, of all behaviors of a set together."""
    names = dict.fromkeys(n for a in found for n in a.others["estimates"].get("seconds", {}))
    return {
        name: round(statistics.median(a.others["estimates"]["seconds"][name] for a in found), 2)
        for name in names
    }


def _over(values: Iterable[float]) -> dict[str, object] | None:
    """Return a mean over sets with Student's t interval, and each; None where there is no value."""
    listed = [value for value in values if not math.isnan(value)]
    if not listed:
        return None
    found = over_seeds(listed)
    figures = {"mean": found.mean, "low": found.low, "high": found.high}
    return {name: _short(value) for name, value in figures.items()} | {
        "sets": [_short(value) for value in listed]
    }


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
