"""The values of a report's sections: axes, panels and cells of scores, and how a student was made.

Horizontal positions are percentages of the drawing's width: the same markup fills a phone and a
wide screen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lineage.artifacts import Artifact, Student
from lineage.frozen import Frozen
from lineage.launches.history import launch_of
from lineage.records.derivation import flatten
from tasks.contracts.handover import Plan
from tasks.evaluate.cost import StageCost
from tasks.evaluate.scorecard import DomainScores, Responses, Scorecard
from tasks.evaluate.scores import FORK_POINT, OVERALL, TEACHER
from tasks.evaluate.wording import (
    MINUS,
    compared,
    known,
    label,
    number,
    percent,
    signed,
    signed_span,
    span,
)
from tasks.platform.progress import format_seconds
from tasks.platform.step_runner import StepRunner
from tasks.statistics import Interval


@dataclass(frozen=True)
class Axis:
    """The range of a horizontal axis, and where it has lines and labels."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def percent(self, value: float) -> str:
        """Return the position of a value in percent of the width, clipped to the ends."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0.0), 1.0):.2f}%"

    def width(self, low: float, high: float) -> str:
        """Return the width of a range, in percent."""
        left, right = (float(self.percent(value).rstrip("%")) for value in (low, high))
        return f"{right - left:.2f}%"


SCORE_AXIS = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))


def difference_axis(intervals: Sequence[Interval]) -> Axis:
    """Return the axis that holds all differences: symmetric about 0, in steps of 0.1."""
    reach = max(max(abs(each.low), abs(each.high)) for each in intervals)
    end = min(1.0, max(1, math.ceil(reach * 10 - 1e-9)) / 10)
    return Axis(-end, end, (-end, -end / 2, 0.0, end / 2, end))


NOTHING = "\N{EM DASH}"
"""Text of a cell without a measurement."""
LEFT_OUT = "left out"
"""Text of a control's row that has no score."""

Cell = tuple[str, str]
"""A mean and its limits."""


@dataclass(frozen=True)
class PanelRow:
    """An interval, drawn and in numbers."""

    kind: str
    """CSS class of its color."""
    name: str
    interval: Interval | None
    """None for a control that was left out."""
    cells: Sequence[Cell | None]


@dataclass(frozen=True)
class Panel:
    """Intervals on one axis, one a row."""

    kind: str
    title: str
    count: str
    headings: Sequence[str]
    rows: Sequence[PanelRow]
    axis: Axis
    labels: Sequence[tuple[float, str]]
    band: tuple[float, float] | None = None
    """A range to shade: from the fork point to the teacher."""


@dataclass(frozen=True)
class MatrixCell:
    """A teacher's score in a domain; the color is as strong as the score."""

    kind: str
    value: float
    score: str
    limits: str


def score_panels(card: Scorecard) -> list[Panel]:
    """Return a panel for all domains together and one for each: a row for each method."""
    panels = [_score_panel(card, OVERALL, card.overall, "panel wide")]
    return panels + [_score_panel(card, name, each, "panel") for name, each in card.domains.items()]


def matrix_rows(card: Scorecard) -> list[tuple[str, list[MatrixCell | None]]]:
    """Return every teacher with its scores in every domain."""
    return [
        (teacher, [_heat(row.get(domain), own=domain == teacher) for domain in card.domains])
        for teacher, row in card.matrix.items()
    ]


def difference_panels(card: Scorecard) -> list[Panel]:
    """Return the student minus each other method, per domain, on one symmetric axis."""
    axis = difference_axis([each for row in card.paired.values() for each in row.values()])
    others = card.paired[OVERALL]
    first = [name for name in (TEACHER, *others) if name in others]
    return [_difference_panel(card, axis, name) for name in dict.fromkeys(first)]


def length_rows(card: Scorecard) -> list[tuple[str, str, list[list[str]]]]:
    """Return each method's mean response length and truncated share, per domain."""
    return [
        (method, label(method), [_length(card.responses[name][method]) for name in card.domains])
        for method in card.methods()
    ]


def cost_rows(
    card: Scorecard, costs: Mapping[str, StageCost]
) -> list[tuple[str, str, tuple[str, str, str]]]:
    """Return what each method took: tokens sampled, tokens trained, processor time."""
    return [
        (
            method,
            label(method),
            (
                f"{costs[method].tokens_sampled:,}",
                f"{costs[method].tokens_trained:,}",
                format_seconds(costs[method].processor_seconds),
            ),
        )
        for method in card.methods()
        if method in costs
    ]


def _score_panel(card: Scorecard, name: str, scores: DomainScores, kind: str) -> Panel:
    band = None
    if FORK_POINT in scores.methods:
        band = (scores.methods[FORK_POINT].mean, scores.methods[TEACHER].mean)
    shown = compared(card)
    rows = []
    for method, interval in scores.methods.items():
        share = known(scores.normalized.get(method)) if method in shown else None
        cells = [_cell(interval), *([_cell(share)] if shown else [])]
        rows.append(PanelRow(method, label(method), interval, cells))
    for method in card.left_out:
        cells = [(LEFT_OUT, ""), *([None] if shown else [])]
        rows.append(PanelRow(method, label(method), None, cells))
    return Panel(
        kind=kind,
        title=name,
        count=f"{next(iter(scores.methods.values())).n:,} prompts",
        headings=("score", "normalized") if shown else ("score",),
        rows=rows,
        axis=SCORE_AXIS,
        labels=((0.0, "0"), (0.5, "0.5"), (1.0, "1")),
        band=band,
    )


def _difference_panel(card: Scorecard, axis: Axis, other: str) -> Panel:
    rows = []
    for name in (*card.domains, OVERALL):
        interval = card.paired[name][other]
        kind = "clear" if interval.excludes(0) else "unclear"
        rows.append(
            PanelRow(kind, name, interval, [(signed(interval.mean), signed_span(interval))])
        )
    ends = [(value, f"{value:+.1f}".replace("-", MINUS)) for value in (axis.low, axis.high)]
    return Panel(
        kind="panel signed",
        title=f"student {MINUS} {label(other)}",
        count="",
        headings=("difference",),
        rows=rows,
        axis=axis,
        labels=[(0.0, "0"), *ends],
    )


def _cell(interval: Interval | None) -> Cell | None:
    return None if interval is None else (number(interval.mean), span(interval))


def _heat(interval: Interval | None, *, own: bool) -> MatrixCell | None:
    if interval is None:
        return None
    kind = "own" if own else "other"
    return MatrixCell(kind, interval.mean, number(interval.mean), span(interval))


def _length(responses: Responses) -> list[str]:
    """Return the mean length, and below it the share truncated with its limits."""
    if responses.mean_tokens is None:
        return [NOTHING]
    lines = [f"{responses.mean_tokens:.1f}"]
    if (cut := responses.truncated) is not None:
        lines += [f"{percent(cut.mean)} cut", f"{percent(cut.low)} to {percent(cut.high)}"]
    return lines


NOT_MEASURED = "not measured"


class TeacherRow(Frozen):
    """One teacher of a round."""

    reference: str
    """Version of the release, such as ``teacher.math@3``."""
    domain: str
    owner: str
    tokens: int
    """Tokens of the student's rollouts that it scored."""
    share: float
    """Its share of all such tokens."""
    verdict: str
    """The gate's verdict with its basis, such as what was measured after a remedy."""


class Making(Frozen):
    """The round that made a student."""

    teachers: tuple[TeacherRow, ...]
    settings: Mapping[str, str]
    """Settings of the round by dotted name."""
    facts: Mapping[str, str]
    """Time, weights and the commands that show them."""


def making_of(runner: StepRunner, plan: Plan, manifest: Student, student: Artifact) -> Making:
    """Return how a published student was made, from its manifest and its records."""
    total = sum(each.tokens_routed for each in manifest.teachers) or 1
    planned = {teacher.reference: teacher for teacher in plan.teachers}
    verdicts = _verdicts(runner, student)
    attested = runner.records.output(manifest.checkpoint.record)
    seconds = attested.seconds if attested else None
    return Making(
        teachers=tuple(
            TeacherRow(
                reference=each.reference,
                domain=each.domain,
                owner=planned[each.reference].owner,
                tokens=each.tokens_routed,
                share=each.tokens_routed / total,
                verdict=verdicts.get(planned[each.reference].name, NOT_MEASURED),
            )
            for each in manifest.teachers
        ),
        settings=dict(flatten(dict(manifest.settings))),
        facts={
            **({"time of the round": format_seconds(seconds)} if seconds else {}),
            "weights": manifest.checkpoint.digest,
            "folder of the weights": f"provost student weights {student.digest}",
        },
    )


def _verdicts(runner: StepRunner, student: Artifact) -> dict[str, str]:
    """Return the gate's verdict on each teacher, by its name in the plan."""
    launch = launch_of(runner.store, student.digest)
    return {each.name: each.words() for each in (launch.verdicts if launch else ())}
