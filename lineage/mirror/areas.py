"""MLflow's experiments with their kinds of record, and what belongs to a consolidation."""

import re
from collections.abc import Mapping

from pydantic import JsonValue

from lineage.digest import is_digest
from lineage.records.record import Derivation

MAX_NAME = 250
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9_\- ]")

CONSOLIDATION = "consolidation"
AREAS = {
    "foundation": ("base",),
    "teachers": ("environment prompts demonstrations sketch sft warm_up rl rung release".split()),
    CONSOLIDATION: (
        "plan launch probe gate approval review mopd ledger merge student gate_outcome report "
        "refork failure"
    ).split(),
    "evaluation": ("evaluation", "scorecard"),
    "audit": ("behaviours", "audit", "surgery"),
}
"""MLflow's experiments with the kinds of record that each shows."""
WORDS = {
    "foundation": "Bases, from which everything descends.",
    "teachers": "What the teams make: data, environments, climbs and their checkpoints, releases.",
    CONSOLIDATION: "Students: each consolidation is one run, with its steps below it.",
    "evaluation": "Scores of teachers and fork points; a consolidation's are below its run.",
    "audit": "Which teacher shaped which behavior, and what surgery did about it.",
}
"""Description of each experiment."""


def area_of(kind: str, plan: str = "") -> str:
    """Return the experiment of a kind of record; a kind that none names has one of its own.

    What was made for a plan is in that of consolidations: MLflow lists below a run what is in the
    same experiment.
    """
    if plan:
        return CONSOLIDATION
    return next((area for area, kinds in AREAS.items() if kind in kinds), model_name(kind))


def plan_of(derivation: Derivation, notes: Mapping[str, JsonValue]) -> str:
    """Return the record of the plan that a step was made for, "" where none is known.

    It is an input, or in what the step notes.
    """
    for item in derivation.inputs:
        if item.role == "plan":
            return item.record
    noted = notes.get("plan")
    return noted if isinstance(noted, str) and is_digest(noted) else ""


def model_name(text: str) -> str:
    """Return a name that MLflow takes for a logged model."""
    return _UNSAFE_NAME.sub("_", text)[:MAX_NAME]
