"""The figures of all worlds: how right each method is, how well it knows that, and the goals.

Some worlds gave every method its calibration. The others, fresh ones, are what is judged.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.behaviors.adds import COLUMNS, brier_difference, differences, is_in, sentence
from benchmarks.behaviors.degrees import degrees
from benchmarks.behaviors.effects import correlations, effects, preserved
from benchmarks.behaviors.items import FORMS, GIVEN, AuditItem, items_of
from benchmarks.behaviors.judging import (
    JudgedAnswer,
    brier,
    calibration_error,
    diagram,
    interval,
    share_right,
)
from benchmarks.behaviors.kinds import KINDS
from benchmarks.behaviors.methods import (
    BOTH,
    LOG_RATIO,
    METHODS,
    RULE,
    MethodAnswer,
    answered,
    calibrated,
    ruled,
)
from benchmarks.behaviors.spills import spilled
from benchmarks.behaviors.taught import GROUPS, SPILL, TAUGHT
from benchmarks.behaviors.world import FIT, FRESH
from tasks.contracts.refusal import RefusedError

ABSENCE = FRESH[:4]
"""Fresh worlds that are retrained without some teachers."""
Rows = Mapping[int, Mapping[str, Any]]


def figures(rows: Rows, absent: Rows) -> dict[str, Any]:
    """Return all figures from the rows of the worlds that ran."""
    fit = [[item for item in each if item.is_judged] for each in _items(FIT, rows)]
    fresh = [item for each in _items(FRESH, rows) for item in each]
    judged = [item for item in fresh if item.is_judged]
    spills = [item for item in fresh if item.group == SPILL and item.shown]
    if not judged or len(fit) < 2:
        raise RefusedError(
            "no-worlds",
            f"the worlds {_present(FIT, rows)} for the fit and the fresh ones "
            f"{_present(FRESH, rows)} ran; two of the first and one of the second are the least: "
            "run what `list` says",
        )
    calibrations = {name: calibrated(name, fit) for name in METHODS}
    answers = {name: answered(name, each, judged) for name, each in calibrations.items()}
    rule = ruled(judged)
    of_spills = {
        RULE: ruled(spills),
        **{name: answered(name, calibrations[name], spills) for name in (LOG_RATIO, BOTH)},
    }
    return {
        "worlds": {"fit": _present(FIT, rows), "fresh": _present(FRESH, rows)},
        "items": _counts(fresh, judged),
        "audited_share": _audited_share(rows),
        "shown": {
            group: _shown([item for item in fresh if item.group == group]) for group in GROUPS
        },
        "judged": BOTH,
        "shipped": _right(rule),
        "methods": {
            name: {
                **_of_method(answers[name]),
                "degrees": degrees(judged, name),
                "weights": calibrations[name].model_dump(mode="json"),
            }
            for name in METHODS
        },
        "adds": _adds(answers[BOTH], answers[LOG_RATIO], rule),
        "spilled": spilled(of_spills, absent),
        "absence": _absence(rows, absent),
    }


def _items(part: Sequence[int], rows: Rows) -> list[list[AuditItem]]:
    return [items_of(rows[number]) for number in _present(part, rows)]


def _present(part: Sequence[int], rows: Rows) -> list[int]:
    return [number for number in part if number in rows]


def _counts(fresh: Sequence[AuditItem], judged: Sequence[AuditItem]) -> dict[str, int]:
    """Return how many fresh behaviors there are, how many are judged, and of how many names."""
    return {
        "fresh": len({item.cluster for item in fresh}),
        "judged": len({item.cluster for item in judged}),
        "names": len({item.behavior for item in judged}),
    }


def _audited_share(rows: Rows) -> dict[str, float]:
    """Return the smallest and largest share of a domain's prompts with an audited cue."""
    shares = [
        share
        for number in _present((*FIT, *FRESH), rows)
        for share in rows[number]["audited_share"].values()
    ]
    return {"least": min(shares), "most": max(shares)}


def _shown(own: Sequence[AuditItem]) -> dict[str, Any]:
    """Return the share of a group that is shown, and what the student gives to those."""
    sets = [item for item in own if item.form == FORMS[-1]]
    given = Counter(item.given for item in sets if item.shown)
    total = given.total()
    return {
        "share": _share([JudgedAnswer(item.cluster, item.shown, 1.0) for item in sets]),
        "given": {name: round(given[name] / total, 4) for name in GIVEN} if total else {},
    }


def _share(rows: Sequence[JudgedAnswer]) -> dict[str, float]:
    return interval(rows, share_right) if rows else {}


def _of_method(answers: Sequence[MethodAnswer]) -> dict[str, Any]:
    rows = [each.judged for each in answers]
    return {
        **_right(answers),
        "calibration_error": interval(rows, calibration_error),
        "brier": interval(rows, brier),
        "diagram": diagram(rows),
    }


def _right(answers: Sequence[MethodAnswer]) -> dict[str, Any]:
    """Return shares of right answers, by column, by who taught it and form, and by kind."""

    def share(keep: Callable[[AuditItem], bool]) -> dict[str, float]:
        return _share([each.judged for each in answers if keep(each.item)])

    return {
        **{column: share(partial(is_in, column)) for column in COLUMNS},
        "by_group": {
            group: {form: share(partial(_is_of, group, form)) for form in FORMS}
            for group in GROUPS
            if group != SPILL
        },
        "by_kind": {kind: share(partial(_is_taught, kind)) for kind in KINDS},
    }


def _is_of(group: str, form: str, item: AuditItem) -> bool:
    return item.group == group and item.form == form


def _is_taught(kind: str, item: AuditItem) -> bool:
    return item.kind == kind and item.group in TAUGHT


def _adds(
    both: Sequence[MethodAnswer], alone: Sequence[MethodAnswer], rule: Sequence[MethodAnswer]
) -> dict[str, Any]:
    """Return how much better both together are than the log-ratio alone, and than the rule."""
    beside = {**differences(both, alone), "brier": brier_difference(both, alone)}
    return {
        LOG_RATIO: beside,
        RULE: differences(both, rule),
        "sentence": sentence(beside),
    }


def _absence(rows: Rows, absent: Rows) -> dict[str, Any]:
    numbers = [number for number in ABSENCE if number in rows and number in absent]
    if not numbers:
        return {}
    pairs = [(absent[number], rows[number]) for number in numbers]
    return {
        "worlds": numbers,
        "methods": correlations([each for pair in pairs for each in effects(*pair)]),
        "preserved": preserved(pairs),
    }
