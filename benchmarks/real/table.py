"""Tables and picture of the proof, from its rows: scores, time, and the steps that are left."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.common.markdown import table
from benchmarks.real.own import OFF_POLICY, WARM_UP
from benchmarks.real.settings import SEEDS, TEAMS
from benchmarks.real.steps import MissingStepError, order, training_seconds
from tasks.evaluate.plot import write_plot
from tasks.evaluate.scorecard import Scorecard

METHODS = {
    "fork_point": "fork point",
    "teacher": "teacher",
    WARM_UP: "student after its warm-up alone",
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
    parts = [
        climbs(rows),
        students(rows),
        merges(rows),
        minutes(rows),
        f"left: {', '.join(left) or 'nothing'}\n",
    ]
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
    """Return the mean over domains of each method and seed, what the student is ahead, and time.

    A dash where a method is not on a seed's scorecard, or a step has no row.
    """
    cards = _cards(rows)
    if not cards:
        return ""
    heads = ("method", *(f"seed {seed}" for seed in cards), "mean")
    lines = [
        _line(shown, [card["overall"].get(name, {}).get("mean") for card in cards.values()])
        for name, shown in METHODS.items()
    ]
    ahead = [card["paired"]["overall"][OFF_POLICY] for card in cards.values()]
    shown = [f"{each['mean']:.3f} ({each['low']:.3f} to {each['high']:.3f})" for each in ahead]
    mean = sum(each["mean"] for each in ahead) / len(ahead)
    lines.append(["student less off-policy SFT, 95 %", *shown, f"{mean:.3f}"])
    return table(heads, [*lines, *_times([_time(rows, seed) for seed in cards])])


def _time(rows: Rows, seed: int) -> dict[str, float]:
    """Return what the training of a seed took: processor seconds, and shares of the student's."""
    merge, control = (rows.row(f"{step}_{seed}") for step in ("merge", "off_policy"))
    if not merge or not control:
        return {}
    spent, used = (row["processor_seconds"] for row in (merge, control))
    whole = training_seconds(spent)
    warm_up = float(spent.get(WARM_UP, 0.0))
    return {
        "warm_up": warm_up,
        "mopd": float(spent["mopd"]),
        "share": warm_up / whole,
        "control": float(used[WARM_UP]),
        "used": used[WARM_UP] / whole,
    }


def _times(found: Sequence[Mapping[str, float]]) -> list[list[str]]:
    """Return the lines that say what the student's training and the control's took."""
    shown = {
        "warm_up": ("processor seconds of the student's warm-up", ",.0f"),
        "mopd": ("processor seconds of its MOPD", ",.0f"),
        "share": ("share of the warm-up in both", ".0%"),
        "control": ("processor seconds of off-policy SFT", ",.0f"),
        "used": ("its time over that of both", ".0%"),
    }
    return [
        _line(name, [each.get(key) for each in found], form) for key, (name, form) in shown.items()
    ]


def minutes(rows: Rows) -> str:
    """Return the processor minutes of each step, and of the whole proof.

    A step that has not run counts in the last line, as the mean of its kind; there is no such line
    where nothing of a kind ran.
    """
    lines, known, left = [], [], 0.0
    for kind, names in _kinds().items():
        found = [_minutes(rows, f"{kind}_{name}" if name else kind) for name in names]
        ran = [value for value in found if value is not None]
        known += ran
        left += (len(found) - len(ran)) * sum(ran) / len(ran) if ran else math.nan
        shown = ", ".join("n.r." if value is None else f"{value:.0f}" for value in found)
        lines.append([f"{kind} {', '.join(names)}".strip(), shown])
    if not known:
        return ""
    whole = sum(known)
    lines.append([f"the {len(known)} steps that ran", f"{whole:.0f}, {whole / 60:.1f} h"])
    if math.isfinite(left) and left:
        total = whole + left
        lines.append(["all, by estimate", f"{total:.0f}, {total / 60:.1f} h"])
    return table(("step", "processor minutes"), lines)


def _kinds() -> dict[str, list[str]]:
    """Return the names of the steps of each kind; one of "" where there is no other."""
    kinds: dict[str, list[str]] = {}
    for step in order():
        kind, _, name = step.rpartition("_") if step.count("_") else (step, "", "")
        kinds.setdefault(kind, []).append(name)
    return kinds


def _minutes(rows: Rows, step: str) -> float | None:
    row = rows.row(step)
    return sum(row["processor_seconds"].values()) / 60 if row else None


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


def _line(name: str, values: Sequence[float | None], form: str = ".3f") -> list[str]:
    known = [value for value in values if value is not None]
    mean = format(sum(known) / len(known), form) if known else "-"
    return [name, *("-" if value is None else format(value, form) for value in values), mean]
