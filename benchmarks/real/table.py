"""The table of the proof, from its rows: every score that is there, and the steps that are not."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from benchmarks.common.figures import table
from benchmarks.real.settings import SEEDS, TEAMS
from benchmarks.real.steps import order

METHODS = ("fork_point", "student", "off_policy", "parameter_average", "task_arithmetic")


class Rows(Protocol):
    """Rows by the name of their step; empty for a step that is not finished."""

    def row(self, step: str) -> Mapping[str, Any]:
        """Return a row."""


def as_table(rows: Rows) -> str:
    """Return the scores as two Markdown tables, and the steps that are left."""
    left = [step for step in order() if not rows.row(step)]
    parts = [climbs(rows), merges(rows), f"left: {', '.join(left) or 'nothing'}\n"]
    return "\n".join(part for part in parts if part)


def climbs(rows: Rows) -> str:
    """Return each team's scores on held-out prompts: fork point, after SFT, teacher."""
    lines = []
    for team in TEAMS:
        if row := rows.row(f"team_{team}"):
            scores, gain = row["figures"]["scores"], row["figures"]["gain"]
            spent = row["processor_seconds"]
            lines.append(
                [
                    team,
                    *(f"{scores[name]:.3f}" for name in ("fork_point", "after_sft", "teacher")),
                    f"{gain['mean']:.3f} ({gain['low']:.3f} to {gain['high']:.3f})",
                    f"{sum(spent.values()) / 60:.0f}",
                ]
            )
    heads = ("team", "fork point", "after SFT", "teacher", "gain, 95 %", "processor minutes")
    return table(heads, lines) if lines else ""


def merges(rows: Rows) -> str:
    """Return the mean over domains of each method and seed, with the mean over seeds."""
    found = {seed: rows.row(f"scorecard_{seed}") for seed in SEEDS}
    scores = {seed: row["figures"]["scores"]["overall"] for seed, row in found.items() if row}
    if not scores:
        return ""
    heads = ("method", *(f"seed {seed}" for seed in scores), "mean")
    lines = [_line(name, [each[name] for each in scores.values()]) for name in METHODS]
    return table(heads, lines)


def _line(name: str, values: Iterable[float]) -> list[str]:
    known = list(values)
    return [name, *(f"{value:.3f}" for value in known), f"{sum(known) / len(known):.3f}"]
