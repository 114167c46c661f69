"""Who names whom: each estimator with a threshold that some sets chose and other sets test.

An estimator names the teacher with the largest number if that reaches its threshold, and nobody if
not. The same rule holds for what was planted and for what nobody taught, so an estimator cannot be
right of the former by always naming somebody, and of the latter by another rule.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.attribution.answers import Answers, Table
from benchmarks.attribution.estimators import PATH_INTEGRAL
from benchmarks.attribution.questions import NOBODY, OFF, OWN, SHARED, STYLE
from benchmarks.attribution.world import TEACHERS
from tasks.attribution.estimators import DOMAIN_OWNER, LOG_RATIO
from tasks.attribution.naming import named

TUNED_ON = (0, 1)
"""Sets that thresholds, and the default, were chosen on; the others test them."""
_GRID = [n / 20 for n in range(1, 21)] + [n / 2 for n in range(3, 61)]
_PLANTED = OWN, SHARED, OFF
RETRAIN = "absence itself, one retrain each"
_Z = 1.96


def naming(found: Sequence[Answers]) -> dict[str, object]:
    """Return by estimator its threshold, and what it names on the sets that did not choose it."""
    names = [name for name in found[0].tables if all(name in a.tables for a in found)]
    return {name: _of(found, name) for name in (*names, RETRAIN)}


def _of(found: Sequence[Answers], name: str) -> dict[str, object]:
    tables = {a.number: a.truth if name == RETRAIN else a.tables[name] for a in found}
    tuning = [a for a in found if a.number in TUNED_ON]
    testing = [a for a in found if a.number not in TUNED_ON]
    grid = _GRID if name != DOMAIN_OWNER else [0.5]  # it says who, not how much
    threshold = max(grid, key=lambda least: _score(tuning, tables, least))
    kinds = (*_PLANTED, STYLE)
    return {
        "threshold": threshold,
        "score_where_it_was_chosen": round(_score(tuning, tables, threshold), 4),
        "largest": {kind: _share(_named(found, tables, kind, -math.inf)) for kind in kinds},
        "right": {kind: _share(_named(testing, tables, kind, threshold)) for kind in kinds}
        | {NOBODY: _share(_named(testing, tables, NOBODY, threshold))},
        "another": {
            kind: _share(_named(testing, tables, kind, threshold, another=True)) for kind in kinds
        },
    }


def _score(found: Sequence[Answers], tables: Mapping[int, Table], least: float) -> float:
    """Return the mean of two shares: of plants that are named right, of others left alone."""
    planted = [
        right for kind in _PLANTED for own in _named(found, tables, kind, least) for right in own
    ]
    nobodys = [right for own in _named(found, tables, NOBODY, least) for right in own]
    return (statistics.fmean(planted) + statistics.fmean(nobodys)) / 2


def _named(
    found: Sequence[Answers],
    tables: Mapping[int, Table],
    kind: str,
    least: float,
    *,
    another: bool = False,
) -> list[list[bool]]:
    """Return by set and behavior of a kind whether the right one (or another) is named."""
    return [
        [
            bool(who) and who != a.asked[place]["teacher"]
            if another
            else who == a.asked[place]["teacher"]
            for place in a.places(kind)
            for who in [who_is_named(tables[a.number], place, least)]
        ]
        for a in found
    ]


def who_is_named(table: Table, place: int, least: float) -> str:
    """Return who alone has the largest number, if that is large enough; else nobody."""
    first, second = sorted(TEACHERS, key=lambda t: table[t][place], reverse=True)[:2]
    largest = table[first][place]
    return first if largest >= least and largest > table[second][place] else ""


def verdict(found: Sequence[Answers]) -> dict[str, object]:
    """Return how often the product's own rule is right on the sets that did not choose it.

    Of plants, those that the student came to say more than the fork point did.
    """
    testing = [a for a in found if a.number not in TUNED_ON]
    return {
        "right": {
            kind: _share([[right for _, right in _verdicts(a, kind)] for a in testing])
            for kind in (*_PLANTED, STYLE, NOBODY)
        },
        "another": {
            kind: _share(
                [[bool(who) and not right for who, right in _verdicts(a, kind)] for a in testing]
            )
            for kind in (*_PLANTED, STYLE)
        },
        "names": {
            "pushed towards it": _share([_names(a, pushed=True) for a in testing]),
            "did not": _share([_names(a, pushed=False) for a in testing]),
        },
    }


def _verdicts(answers: Answers, kind: str) -> list[tuple[str, bool]]:
    """Return who is named for each behavior of a kind, and whether that is right."""
    return [
        (who, who == answers.asked[place]["teacher"])
        for place in answers.places(kind)
        if kind == NOBODY or answers.change[place] > 0
        for who in [_product(answers, place)]
    ]


def _names(answers: Answers, *, pushed: bool) -> list[bool]:
    """Return of each name whether it is right, where that teacher's updates pushed or did not."""
    return [
        who == item["teacher"]
        for place, item in enumerate(answers.asked)
        for who in [_product(answers, place)]
        if who and (answers.tables[PATH_INTEGRAL][who][place] > 0) == pushed
    ]


def _product(answers: Answers, place: int) -> str:
    parts, taught = (
        {teacher: answers.tables[name][teacher][place] for teacher in TEACHERS}
        for name in (PATH_INTEGRAL, LOG_RATIO)
    )
    return named(parts, taught, answers.change[place])


def _share(sets: Iterable[Sequence[bool]]) -> dict[str, float]:
    """Return a share with Wilson's 95 % interval, which stays within 0 and 1.

    Where sets differ by more than independent behaviors would, their number counts for less, by
    the design effect (Kish 1965, section 8.2).
    """
    listed = [own for own in sets if own]
    count = sum(map(len, listed))
    share = sum(map(sum, listed)) / count
    effect = 1.0
    if 0 < share < 1 and len(listed) > 1:
        between = statistics.variance(statistics.fmean(own) for own in listed)
        effect = max(1.0, between * count / len(listed) / (share * (1 - share)))
    size = count / effect
    middle = (share + _Z**2 / (2 * size)) / (1 + _Z**2 / size)
    half = _Z * math.sqrt(share * (1 - share) / size + _Z**2 / (4 * size**2)) / (1 + _Z**2 / size)
    figures = {"share": share, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}
    return {name: round(value, 4) for name, value in figures.items()} | {"of": count}
