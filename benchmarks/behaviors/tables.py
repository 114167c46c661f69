"""The figures of all worlds: how right each method is, how well it knows that, and the goals.

Half of the worlds gave every method its calibration. The other half is what is judged.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.behaviors import items
from benchmarks.behaviors.absence import GUESS, correlations, effects, preserved
from benchmarks.behaviors.calibration import AuditEvidence, NameCalibration, fitted
from benchmarks.behaviors.items import AuditItem, Table, items_of, shipped
from benchmarks.behaviors.judging import (
    JudgedAnswer,
    answered_share,
    brier,
    calibration_error,
    degrees,
    diagram,
    interval,
    is_right,
    share_right,
)
from benchmarks.behaviors.kinds import KINDS
from benchmarks.behaviors.world import ALSO, BEFORE, GROUPS, NEVER, ONE, TWO
from tasks.contracts.refusal import RefusedError

FIT = tuple(range(6))
FRESH = tuple(range(6, 12))
ABSENCE = (6, 7, 8, 9)
"""Fresh worlds that are retrained without some teachers."""
BOTH = "both together"


def _of(name: str) -> Callable[[AuditItem], Table]:
    return lambda item: item.tables[name]


METHODS: Mapping[str, tuple[Callable[[AuditItem], Table], ...]] = {
    BOTH: (_of("taught"), _of("parts")),
    "log-ratio alone": (_of("taught"),),
    "ledger alone": (_of("parts"),),
    "TracIn": (_of("tracin"),),
    "TracIn, bounded": (items.bounded,),
    "surgery": (_of("surgery"),),
    "owner of the domain": (_of("owner"),),
}
"""The tables that each method answers from."""
_TAUGHT, _UNTAUGHT = (ONE, TWO, ALSO), (BEFORE, NEVER)


def figures(
    rows: Mapping[int, Mapping[str, Any]], absent: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return all figures from the rows of the worlds that ran."""
    fit, fresh = (
        [item for number in part if number in rows for item in items_of(rows[number])]
        for part in (FIT, FRESH)
    )
    seen = [item for item in fresh if item.shown]
    if not seen or not any(item.shown for item in fit):
        raise RefusedError(
            "no-worlds",
            f"the worlds {_present(FIT, rows)} for the fit and the fresh ones "
            f"{_present(FRESH, rows)} ran, and both parts need some: run what `list` says",
        )
    methods = {}
    for name, of_item in METHODS.items():
        calibration = fitted([(evidence(item, of_item), item.truth) for item in fit if item.shown])
        methods[name] = _of_method(seen, name, calibration)
    return {
        "worlds": {"fit": _present(FIT, rows), "fresh": _present(FRESH, rows)},
        "items": {"fit": len(fit), "fresh": len(fresh), "fresh_shown": len(seen)},
        "shown": {
            group: interval([_shown(item) for item in fresh if item.group == group], share_right)
            for group in GROUPS
            if any(item.group == group for item in fresh)
        },
        "judged": BOTH,
        "shipped": _right([(item, _judged(item, shipped(item), 1.0)) for item in seen]),
        "methods": methods,
        "absence": _absence(rows, absent),
    }


def evidence(item: AuditItem, of_item: Sequence[Callable[[AuditItem], Table]]) -> AuditEvidence:
    """Return what a method answers from."""
    tables = tuple(table(item) for table in of_item)
    contrast, several = item.form.endswith("contrast"), item.form.startswith("set")
    return AuditEvidence(tables, item.ended - item.begun, contrast, several)


def _present(part: Sequence[int], rows: Mapping[int, object]) -> list[int]:
    return [number for number in part if number in rows]


def _shown(item: AuditItem) -> JudgedAnswer:
    return JudgedAnswer(item.cluster, item.shown, 1.0)


def _judged(item: AuditItem, names: Sequence[str], probability: float) -> JudgedAnswer:
    return JudgedAnswer(item.cluster, is_right(names, item.truth), probability)


def _of_method(
    seen: Sequence[AuditItem], name: str, calibration: NameCalibration
) -> dict[str, Any]:
    pairs = []
    for item in seen:
        answer = calibration.answer(evidence(item, METHODS[name]))
        names = [answer.named] if answer.named else []
        pairs.append((item, _judged(item, names, answer.probability)))
    judged = [row for _, row in pairs]
    return {
        **_right(pairs),
        "calibration_error": interval(judged, calibration_error),
        "brier": interval(judged, brier),
        "diagram": diagram(judged),
        "degrees": _degrees(seen, name),
        "weights": calibration.model_dump(mode="json"),
    }


def _right(pairs: Sequence[tuple[AuditItem, JudgedAnswer]]) -> dict[str, Any]:
    """Return shares of right answers, by who taught it, by form and by kind."""

    def share(keep: Callable[[AuditItem], bool]) -> dict[str, float]:
        rows = [row for item, row in pairs if keep(item)]
        return interval(rows, share_right) if rows else {}

    def is_form(item: AuditItem, *, contrast: bool) -> bool:
        return item.form.endswith("contrast") == contrast

    return {
        "taught": share(lambda item: item.group in _TAUGHT and is_form(item, contrast=False)),
        "taught_contrast": share(
            lambda item: item.group in _TAUGHT and is_form(item, contrast=True)
        ),
        "untaught": share(lambda item: item.group in _UNTAUGHT),
        "untaught_contrast": share(
            lambda item: item.group in _UNTAUGHT and is_form(item, contrast=True)
        ),
        "by_group": {
            group: {form: share(partial(_is_of, group, form)) for form in items.FORMS}
            for group in GROUPS
        },
        "by_kind": {kind: share(partial(_is_taught, kind)) for kind in KINDS},
    }


def _is_of(group: str, form: str, item: AuditItem) -> bool:
    return item.group == group and item.form == form


def _is_taught(kind: str, item: AuditItem) -> bool:
    return item.kind == kind and item.group in _TAUGHT


def _degrees(seen: Sequence[AuditItem], name: str) -> dict[str, float | None]:
    """Return how answered shares of two teachers follow those of their demonstrations, by form."""
    of_item = METHODS[name]
    found: dict[str, float | None] = {}
    for form in items.FORMS:
        pairs = []
        for item in seen:
            if item.group == TWO and item.form == form:
                one, other = item.truth
                table = items.smaller(item) if name == BOTH else of_item[0](item)
                known = item.doses[one] / (item.doses[one] + item.doses[other])
                pairs.append((answered_share(table[one], table[other]), known))
        value = degrees(pairs) if pairs else math.nan
        found[form] = None if math.isnan(value) else round(value, 4)
    return found


def _absence(
    rows: Mapping[int, Mapping[str, Any]], absent: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    numbers = [number for number in ABSENCE if number in rows and number in absent]
    if not numbers:
        return {}
    kept = [preserved(absent[number], rows[number]) for number in numbers]
    return {
        "worlds": numbers,
        "methods": correlations([effects(absent[n], rows[n]) for n in numbers]),
        "preserved": {
            run: round(sum(each[run] for each in kept) / len(kept), 4) for run in kept[0]
        },
    }


def judged_goals(goals: Mapping[str, Any], found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return for each goal what was found, and whether it holds; None if it was not measured."""
    method = found["methods"][goals["method"]]
    values = {
        "right_teacher": method["taught"].get("value"),
        "right_teacher_contrast": method["taught_contrast"].get("value"),
        "untaught": method["untaught"].get("value"),
        "calibration_error": method["calibration_error"]["value"],
        "absence": found["absence"].get("methods", {}).get(GUESS, {}).get("of_ceiling"),
    }
    return [
        {"goal": name, **goals[name], "found": value, "holds": _holds(goals[name], value)}
        for name, value in values.items()
    ]


def _holds(goal: Mapping[str, Any], value: float | None) -> bool | None:
    if value is None:
        return None
    if "at_least" in goal:
        return bool(value >= goal["at_least"])
    return bool(value <= goal["at_most"])
