"""Makes the attribution benchmark's tables from what was asked; nothing is trained or scored here.

A set of teachers is one sample: figures are means over sets, with Student's t intervals.
"""

import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _attribution_questions import NOBODY, OFF, OWN, SHARED, STYLE
from _attribution_world import OFFICES, TEACHERS, masks

from tasks.attribution.counterfactual import MOST_SEEDS, over_seeds
from tasks.attribution.estimators import LogRatio
from tasks.attribution.verdict import LEAST_NATS

Table = dict[str, list[float]]


@dataclass(frozen=True)
class Answers:
    """What was found of one student."""

    asked: list[dict[str, str]]
    says: dict[str, list[float]]
    """By retrain; beside them ``full`` and ``fork``."""
    masks: dict[str, tuple[str, ...]]
    """By retrain, who was left out of it."""
    tables: dict[str, Table]
    """By estimator, the number of each teacher for each behaviour."""
    others: dict[str, dict[str, Any]]
    """Residuals, seconds and divergences, as they were written."""

    @property
    def change(self) -> list[float]:
        """What the round did to each behaviour."""
        return [a - b for a, b in zip(self.says["full"], self.says["fork"], strict=True)]

    @property
    def truth(self) -> Table:
        """What each teacher's absence does."""
        return {teacher: self.effect(f"no-{teacher}") for teacher in TEACHERS}

    def effect(self, run: str) -> list[float]:
        """Return what a retrain says less of each behaviour than the student."""
        return [a - b for a, b in zip(self.says["full"], self.says[run], strict=True)]

    def places(self, *tables: str) -> list[int]:
        """Return the behaviours of some tables."""
        return [place for place, item in enumerate(self.asked) if item["table"] in tables]


def read(runs: Path, number: int, seed: int) -> Answers | None:
    """Return what was found of a set's student, or None where not all was asked yet."""
    folder = runs / f"set-{number}" / f"seed-{seed}"
    files = {
        part: folder / f"{part}.json"
        for part in ("truth", "estimates", "rehearsals", "shorts", "cost")
    }
    if not files["truth"].exists():
        return None
    truth = json.loads(files["truth"].read_text("utf-8"))
    found = {
        part: json.loads(file.read_text("utf-8")) if file.exists() else {}
        for part, file in files.items()
        if part != "truth"
    }
    tables: dict[str, Table] = dict(found["estimates"].get("tables", {}))
    left_out = {run: masked for run, masked in masks(number) if masked}
    answers = Answers(truth["asked"], truth["says"], left_out, tables, found)
    if tables:
        tables["taught and heard"] = _smaller(tables["path integral"], tables[LogRatio.name])
        tables["owner, sized by the change"] = _sized_by_change(answers)
    if found["rehearsals"]:
        tables["rehearsal"] = _less(answers.says["full"], found["rehearsals"]["says"])
    if tables and found["rehearsals"]:
        three = tables["rehearsal"], tables[LogRatio.name], tables["path integral"]
        tables[SUM] = {
            t: [a + b + c / 2 for a, b, c in zip(*(x[t] for x in three), strict=True)]
            for t in TEACHERS
        }
    for kind, says in found["shorts"].get("says", {}).items():
        tables[_SHORT[kind]] = _less(answers.says["full"], says)
    return answers


SUM = "rehearsal + log-ratio + half the path integral"
"""Weights that were chosen on set 0; the other sets test them."""
_SHORT = {"short": "retrain of a quarter", "repair": "surgery, then an eighth"}


def _smaller(one: Table, two: Table) -> Table:
    return {t: list(map(min, one[t], two[t])) for t in TEACHERS}


def _less(student: Sequence[float], says: Mapping[str, Sequence[float]]) -> Table:
    """Return what the student says less what is said without each teacher."""
    without = {teacher: says[f"no-{teacher}"] for teacher in TEACHERS}
    return {t: [a - b for a, b in zip(student, without[t], strict=True)] for t in TEACHERS}


def _sized_by_change(answers: Answers) -> Table:
    owners = {office: own[0] for office, own in OFFICES.items() if len(own) == 1}
    return {
        teacher: [
            change if owners.get(item["domain"]) == teacher else 0.0
            for item, change in zip(answers.asked, answers.change, strict=True)
        ]
        for teacher in TEACHERS
    }


def tables(runs: Path, numbers: Sequence[int]) -> dict[str, object]:
    """Return all tables of the sets that were asked about."""
    first = [found for n in numbers if (found := read(runs, n, 0)) and found.tables]
    both = [
        (one, other) for n in numbers if (one := read(runs, n, 0)) and (other := read(runs, n, 1))
    ]
    names = list(dict.fromkeys(name for found in first for name in found.tables))
    return {
        "sets": len(first),
        "behaviours_of_a_set": {
            t: len(first[0].places(t)) for t in (OWN, SHARED, OFF, STYLE, NOBODY)
        },
        "naming": {name: _naming(first, lambda a, n=name: a.tables[n], name) for name in names}
        | {"absence itself, one retrain each": _naming(first, lambda a: a.truth, "retrain")},
        "absence": {name: _absence(first, name) for name in names} | {"two seeds": _ceiling(both)},
        "absence_in_another_seed": {name: _across(both, name) for name in names},
        "completeness": _completeness(first),
        "kl_from_retrain": _apart(first),
        "wall_seconds_of_a_sets_behaviours": _seconds(first),
        "cost": [a.others["cost"] for a in first if a.others["cost"]],
    }


def _naming(
    found: Sequence[Answers], of: Callable[[Answers], Table], name: str
) -> dict[str, object]:
    with_it = [a for a in found if name == "retrain" or name in a.tables]
    named = {
        table: _over(_named(of(a), a, a.places(table)) for a in with_it)
        for table in (OWN, SHARED, OFF, STYLE)
    }
    return named | {NOBODY: _over(_left_alone(of(a), a) for a in with_it)}


def _named(table: Table, answers: Answers, places: Sequence[int]) -> float:
    """Return the share of behaviours whose teacher alone has the largest number."""
    right = 0
    for place in places:
        ordered = sorted(TEACHERS, key=lambda t: table[t][place], reverse=True)
        alone = table[ordered[0]][place] > table[ordered[1]][place]
        right += alone and ordered[0] == answers.asked[place]["teacher"]
    return right / len(places)


def _left_alone(table: Table, answers: Answers) -> float:
    """Return the share of untaught behaviours that no teacher is named for."""
    places = answers.places(NOBODY)
    return sum(max(table[t][p] for t in TEACHERS) < LEAST_NATS for p in places) / len(places)


def _absence(found: Sequence[Answers], name: str) -> dict[str, object]:
    with_it = [a for a in found if name in a.tables]
    return _agreement([(a.tables[name], a.truth, a) for a in with_it]) | {
        "subsets": _over(_subsets(a, a.tables[name]) for a in with_it)
    }


def _across(both: Sequence[tuple[Answers, Answers]], name: str) -> dict[str, object]:
    with_it = [(a, b) for a, b in both if name in a.tables]
    return _agreement([(a.tables[name], b.truth, a) for a, b in with_it])


def _ceiling(both: Sequence[tuple[Answers, Answers]]) -> dict[str, object]:
    return _agreement([(a.truth, b.truth, a) for a, b in both])


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
    """Return teachers with behaviours that they neither taught nor had in their domain."""
    return [
        (teacher, place)
        for teacher, place in _pairs(answers)
        if teacher != answers.asked[place]["teacher"]
        and teacher not in OFFICES.get(answers.asked[place]["domain"], ())
    ]


def _ranked(one: Table, two: Table, pairs: Iterable[tuple[str, int]]) -> float:
    listed = list(pairs)
    return rank_correlation([one[t][p] for t, p in listed], [two[t][p] for t, p in listed])


def _subsets(answers: Answers, table: Table) -> float:
    """Return the linear datamodelling score (2303.14186, eq. 5): its mean over behaviours."""
    scores = []
    for place in range(len(answers.asked)):
        told = [sum(table[t][place] for t in masked) for masked in answers.masks.values()]
        true = [answers.effect(run)[place] for run in answers.masks]
        score = rank_correlation(told, true)
        if not math.isnan(score):
            scores.append(score)
    return statistics.fmean(scores) if scores else math.nan


def _completeness(found: Sequence[Answers]) -> dict[str, object]:
    figures = {}
    for name in ("path integral", "replayed integral"):
        all_of = [r for a in found for r in a.others["estimates"]["residuals"][name]]
        figures[name] = {"largest": max(all_of), "median": statistics.median(all_of)}
    return figures


def _apart(found: Sequence[Answers]) -> dict[str, object]:
    rows = [
        row for a in found for row in a.others["rehearsals"].get("kl_from_retrain", {}).values()
    ]
    return {key: _over(row[key] for row in rows) for key in ("student", "surgery", "rehearsal")}


def _seconds(found: Sequence[Answers]) -> dict[str, float]:
    """Return the median seconds over sets, of all behaviours of a set together."""
    names = dict.fromkeys(n for a in found for n in a.others["estimates"].get("seconds", {}))
    return {
        name: round(statistics.median(a.others["estimates"]["seconds"][name] for a in found), 2)
        for name in names
    }


def _over(values: Iterable[float]) -> dict[str, float | None] | None:
    """Return a mean with its interval: Student's t, normal where there are more than ten."""
    listed = [value for value in values if not math.isnan(value)]
    if not listed:
        return None
    mean = statistics.fmean(listed)
    if len(listed) <= MOST_SEEDS:
        found = over_seeds(listed)
        return {"mean": _short(mean), "low": _short(found.low), "high": _short(found.high)}
    half = 1.96 * statistics.stdev(listed) / math.sqrt(len(listed))
    return {"mean": _short(mean), "low": _short(mean - half), "high": _short(mean + half)}


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def rank_correlation(one: Sequence[float], two: Sequence[float]) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank; NaN for a constant."""
    if len(set(one)) < 2 or len(set(two)) < 2:
        return math.nan
    return statistics.correlation(_ranks(one), _ranks(two))


def _ranks(values: Sequence[float]) -> list[float]:
    first: dict[float, int] = {}
    count = Counter(values)
    for place, value in enumerate(sorted(values)):
        first.setdefault(value, place)
    return [first[value] + (count[value] - 1) / 2 for value in values]
