"""Curves over the steps of a run: what the template draws of them, and the page of a training run.

Horizontal positions are shares of the drawing: the same markup fills a phone and a wide screen.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from lineage.records.derivation import Sample
from tasks.reports.rendering import render

Point = tuple[float, float]

MOST_POINTS = 200
"""A curve with more points is drawn by the means of that many stretches."""

NOTE = (
    "Thin: as measured. Strong: the running mean over a tenth of the steps; its ends are above "
    "each curve. The curves of a row share one axis."
)


class Curve(BaseModel):
    """One quantity over the steps of a stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What the curve is of, such as the team or the teacher."""
    points: tuple[tuple[FiniteFloat, FiniteFloat], ...] = Field(min_length=1)
    """(step, value), in the order of the steps."""


class CurveGroup(BaseModel):
    """Curves of one quantity, drawn side by side on one common axis."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    unit: str
    """Unit of the axis, such as "nats per token"."""
    curves: tuple[Curve, ...] = Field(min_length=1)
    low: FiniteFloat = 0.0
    high: FiniteFloat | None = None
    """The end of the axis; None takes the largest value."""

    def figures(self) -> list["Figure"]:
        """Return the curves as they are drawn, all on one axis."""
        top = max(value for each in self.curves for _, value in each.points)
        high = self.high if self.high is not None else round_end(top)
        return [_figure(each, self.low, high) for each in self.curves]


@dataclass(frozen=True)
class Figure:
    """One curve in a box of 100 by 100 that stretches."""

    name: str
    change: str
    """Start and end of the trend, in words."""
    low: float
    high: float
    first: float
    last: float
    raw: str
    """The points as SVG writes them."""
    trend: str


def _figure(curve: Curve, low: float, high: float) -> Figure:
    drawn = thin(curve.points)
    smooth = trend(drawn)
    return Figure(
        name=curve.name,
        change=f"{_number(smooth[0][1])} \N{RIGHTWARDS ARROW} {_number(smooth[-1][1])}",
        low=low,
        high=high,
        first=curve.points[0][0],
        last=curve.points[-1][0],
        raw=path(drawn, low, high),
        trend=path(smooth, low, high),
    )


def round_end(value: float) -> float:
    """Return the next number above that reads well as the end of an axis: 0.53 becomes 0.6."""
    if value <= 0:
        return 1.0
    step = 10.0 ** math.floor(math.log10(value))
    return round(math.ceil(value / step - 1e-9) * step, 12)


def path(points: Sequence[Point], low: float, high: float) -> str:
    """Return points as SVG writes them, in a box of 100 by 100 from ``low`` to ``high``."""
    first, last = points[0][0], points[-1][0]
    width, tall = (last - first) or 1.0, (high - low) or 1.0
    return " ".join(
        f"{100 * (step - first) / width:.2f},{100 - 100 * (value - low) / tall:.2f}"
        for step, value in points
    )


def thin(points: Sequence[Point]) -> list[Point]:
    """Return at most ``MOST_POINTS`` points: the means of equal stretches, the ends kept."""
    if len(points) <= MOST_POINTS:
        return list(points)
    inner, stretches = points[1:-1], MOST_POINTS - 2
    edges = [round(index * len(inner) / stretches) for index in range(stretches + 1)]
    means = [_mean(inner[start:end]) for start, end in itertools.pairwise(edges)]
    return [points[0], *means, points[-1]]


def trend(points: Sequence[Point]) -> list[Point]:
    """Return the running mean over a tenth of the curve, centered and shorter at the ends."""
    reach = len(points) // 20
    return [
        (step, _mean(points[max(0, at - reach) : at + reach + 1])[1])
        for at, (step, _) in enumerate(points)
    ]


def _mean(points: Sequence[Point]) -> Point:
    steps, values = zip(*points, strict=True)
    return math.fsum(steps) / len(points), math.fsum(values) / len(points)


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}") if round(value, 2) else "0.00"


@dataclass(frozen=True)
class TrainingPart:
    """One stretch of a training run, such as a round."""

    name: str
    title: str
    extent: str
    groups: Sequence[CurveGroup]


def training_part(
    name: str, title: str, rows: Sequence[Sample], groups: Sequence[CurveGroup]
) -> TrainingPart:
    """Return one stretch with how far it came; ``rows`` are at least one."""
    steps = [sample.step for sample in rows]
    extent = f"Steps {min(steps)} to {max(steps)}, as far as it came."
    return TrainingPart(name, title, extent, groups)


def training_page(headline: str, parts: Sequence[TrainingPart], nothing: str) -> str:
    """Return the page of a run; ``nothing`` is its text where no part was trained."""
    return render(
        "training.html.j2",
        title="Training",
        headline=headline,
        how=NOTE,
        parts=parts,
        nothing=nothing,
    )


def measured_page(title: str, parts: Sequence[Sequence[Sample]]) -> str:
    """Return the curves of every metric of a step; ``parts`` hold what each part has measured."""
    rows = [sample for part in parts for sample in part if isfinite(sample.value)]
    shown = [training_part("curves", "Step by step", rows, _groups(rows))] if rows else []
    nothing = "Nothing was trained here: the output was found in the store, or no step has ended."
    return training_page(title, shown, nothing)


def _groups(rows: Sequence[Sample]) -> list[CurveGroup]:
    """Return a group for each metric; names with a slash are curves of the part before it."""
    series: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for sample in rows:
        group, _, name = sample.name.rpartition("/")
        series[group or name][name].append((float(sample.step), sample.value))
    return [
        CurveGroup(
            title=group,
            unit="",
            low=min(0.0, *(value for points in curves.values() for _, value in points)),
            curves=tuple(Curve(name=name, points=tuple(curves[name])) for name in sorted(curves)),
        )
        for group, curves in sorted(series.items())
    ]
