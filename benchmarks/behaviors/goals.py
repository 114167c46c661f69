"""The goals, with what was found beside them."""

from collections.abc import Mapping
from typing import Any

from benchmarks.behaviors.effects import GUESS


def judged_goals(goals: Mapping[str, Any], found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return for each goal what was found with its interval, and whether it holds.

    ``holds`` is None where it was not measured, or on too few behaviors.
    """
    method = found["methods"][goals["method"]]
    absence = found["absence"].get("methods", {}).get(GUESS, {}).get("all", {})
    values: dict[str, Mapping[str, Any]] = {
        "right_teacher": method["taught"],
        "right_teacher_contrast": method["taught_contrast"],
        "untaught": method["untaught"],
        "untaught_contrast": method["untaught_contrast"],
        "calibration_error": method["calibration_error"],
        "absence": absence.get("of_ceiling", {}),
    }
    return [
        {
            "goal": name,
            **goals[name],
            "found": value.get("value"),
            "low": value.get("low"),
            "high": value.get("high"),
            "behaviors": value.get("behaviors"),
            "holds": _holds(goals[name], value),
        }
        for name, value in values.items()
    ]


def _holds(goal: Mapping[str, Any], found: Mapping[str, Any]) -> bool | None:
    if not found or found["behaviors"] < goal.get("least_behaviors", 0):
        return None
    if "at_least" in goal:
        return bool(found["value"] >= goal["at_least"])
    return bool(found["value"] <= goal["at_most"])
