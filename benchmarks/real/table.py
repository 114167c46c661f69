"""Tables and picture of the proof, from its rows: what is scored, and the steps that are left."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from benchmarks.common.markdown import table
from benchmarks.real.own import OFF_POLICY
from benchmarks.real.settings import SEEDS, TEAMS
from benchmarks.real.steps import MissingStepError, order
from tasks.evaluate.plot import write_plot
from tasks.evaluate.scorecard import Scorecard

METHODS = {
    "fork_point": "fork point",
    "teacher": "teacher",
    "student": "student (MOPD)",
    OFF_POLICY: "off-policy SFT",
    "parameter_average": "parameter average",
    "task_arithmetic": "task arithmetic",
}


class Rows(Protocol):
    """Rows by the name of their step; empty for a step that is not finished."""

    def row(self, step: str) -> Mapping[str, Any]:
        """Return a row."""


def as_table(rows: Rows) -> str:
    """Return the scores as two Markdown tables, and the steps that are left."""
    left = [step for step in order() if not rows.row(step)]
    parts = [climbs(rows), students(rows), merges(rows), f"left: {', '.join(left) or 'nothing'}\n"]
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


def students(rows: Rows) -> str:
    """Return each seed's student by team, beside the control of equal time, teacher and merges.

    The control has a dash where its seed is not scored yet.
    """
    names = ("fork_point", "teacher", "parameter_average", "task_arithmetic")
    cards, lines = _cards(rows), []
    for seed in SEEDS:
        row = rows.row(f"merge_{seed}")
        for each in row["figures"]["scores"] if row else ():
            control = cards[seed][each["what"]][OFF_POLICY] if seed in cards else None
            student = {**each, "mean": each["value"]}
            others = (f"{each['against'][name]:.2f}" for name in names)
            lines.append([str(seed), each["what"], _ends(student), _ends(control), *others])
    heads = ("student (MOPD)", "off-policy SFT", *(name.replace("_", " ") for name in names))
    return table(("seed", "team", *heads), lines) if lines else ""


def _ends(score: Mapping[str, float] | None) -> str:
    return f"{score['mean']:.2f} [{score['low']:.2f}, {score['high']:.2f}]" if score else "-"


def merges(rows: Rows) -> str:
    """Return the mean over domains of each method and seed, and what the student is ahead."""
    cards = _cards(rows)
    if not cards:
        return ""
    heads = ("method", *(f"seed {seed}" for seed in cards), "mean")
    lines = [
        _line(shown, [card["overall"][name]["mean"] for card in cards.values()])
        for name, shown in METHODS.items()
    ]
    ahead = [card["paired"]["overall"][OFF_POLICY] for card in cards.values()]
    shown = [f"{each['mean']:.3f} ({each['low']:.3f} to {each['high']:.3f})" for each in ahead]
    mean = sum(each["mean"] for each in ahead) / len(ahead)
    return table(heads, [*lines, ["student less off-policy SFT, 95 %", *shown, f"{mean:.3f}"]])


def draw(rows: Rows, path: Path) -> None:
    """Draw the scorecard of the first seed that has one.

    Raises:
        MissingStepError: if none has.
    """
    cards = _cards(rows)
    if not cards:
        raise MissingStepError("no merge is scored yet: the picture shows a scorecard")
    write_plot(Scorecard.from_document(next(iter(cards.values()))), path)


def _cards(rows: Rows) -> dict[int, dict[str, Any]]:
    found = {seed: rows.row(f"scorecard_{seed}") for seed in SEEDS}
    return {seed: row["figures"]["card"] for seed, row in found.items() if row}


def _line(name: str, values: list[float]) -> list[str]:
    return [name, *(f"{value:.3f}" for value in values), f"{sum(values) / len(values):.3f}"]
