"""Curves over the steps of a run, as inline SVG whose text lives outside, so that it stretches.

Horizontal positions are shares of the drawing: the same markup fills a phone and a wide screen.
"""

import itertools
import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from tasks.page.html import Html, element, join

Point = tuple[float, float]

MOST_POINTS = 200
"""A curve with more points is drawn by the means of that many stretches."""

NOTE = (
    "Thin: as measured. Strong: the running mean over a tenth of the steps, whose ends stand "
    "above each curve. The curves of a row share one axis."
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
    """What one unit of the axis is, such as "nats a token"."""
    curves: tuple[Curve, ...] = Field(min_length=1)
    low: FiniteFloat = 0.0
    high: FiniteFloat | None = None
    """The end of the axis; None takes the largest value."""


def curve_group(group: CurveGroup) -> Html:
    """Return the curves of a group side by side, each with where it began and where it ended."""
    top = max(value for each in group.curves for _, value in each.points)
    high = group.high if group.high is not None else round_end(top)
    figures = [_figure(each, group.low, high) for each in group.curves]
    title = element("h3", {}, group.title, " ", element("small", {}, group.unit))
    return join([title, element("div", {"class": "curves"}, *figures)])


def _figure(shown: Curve, low: float, high: float) -> Html:
    smooth = trend(thin(shown.points))
    change = f"{_number(smooth[0][1])} \N{RIGHTWARDS ARROW} {_number(smooth[-1][1])}"
    first, last = shown.points[0][0], shown.points[-1][0]
    return element(
        "figure",
        {},
        element("figcaption", {}, element("b", {}, shown.name), element("span", {}, change)),
        element(
            "div",
            {"class": "plot"},
            element(
                "div",
                {"class": "ends"},
                element("span", {}, f"{high:.3g}"),
                element("span", {}, f"{low:.3g}"),
            ),
            curve(shown.points, low, high, "line"),
            element(
                "div",
                {"class": "steps"},
                element("span", {}, f"step {first:g}"),
                element("span", {}, f"{last:g}"),
            ),
        ),
    )


def round_end(value: float) -> float:
    """Return the next number above that reads well as the end of an axis: 0.53 becomes 0.6."""
    if value <= 0:
        return 1.0
    step = 10.0 ** math.floor(math.log10(value))
    return round(math.ceil(value / step - 1e-9) * step, 12)


def curve(points: Sequence[Point], low: float, high: float, kind: str) -> Html:
    """Draw a curve in a box of 100 by 100 that stretches: the points thin, their trend strong."""
    drawn = thin(points)
    first, last = drawn[0][0], drawn[-1][0]
    width, tall = (last - first) or 1.0, (high - low) or 1.0

    def path(line: Sequence[Point], name: str) -> Html:
        places = (
            f"{100 * (step - first) / width:.2f},{100 - 100 * (value - low) / tall:.2f}"
            for step, value in line
        )
        return element("polyline", {"class": name, "points": " ".join(places)})

    grid = join(
        element("line", {"class": "grid", "x1": 0, "x2": 100, "y1": y, "y2": y})
        for y in (0, 50, 100)
    )
    box = {"class": f"curve {kind}", "viewBox": "0 0 100 100", "preserveAspectRatio": "none"}
    hidden = {"aria-hidden": "true"}
    return element("svg", {**box, **hidden}, grid, path(drawn, "raw"), path(trend(drawn), "trend"))


def thin(points: Sequence[Point]) -> list[Point]:
    """Return at most ``MOST_POINTS`` points: the means of equal stretches, the ends kept."""
    if len(points) <= MOST_POINTS:
        return list(points)
    inner, stretches = points[1:-1], MOST_POINTS - 2
    edges = [round(index * len(inner) / stretches) for index in range(stretches + 1)]
    means = [_mean(inner[start:end]) for start, end in itertools.pairwise(edges)]
    return [points[0], *means, points[-1]]


def trend(points: Sequence[Point]) -> list[Point]:
    """Return the running mean over a tenth of the curve, centred and shorter at the ends."""
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
