"""Small charts as inline SVG whose text lives outside, so that they stretch and words do not.

Horizontal positions are percentages of the drawing's width: the same markup fills a phone and a
wide screen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.page.html import Html, element
from tasks.statistics import Interval


@dataclass(frozen=True)
class Axis:
    """The range of a horizontal axis, and where it has lines and labels."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def percent(self, value: float) -> str:
        """Return where a value lies, in percent of the width; outside values lie at the ends."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


SCORE_AXIS = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))


def difference_axis(intervals: Sequence[Interval]) -> Axis:
    """Return the axis that holds all differences: symmetric about 0, in steps of 0.1."""
    reach = max(max(abs(each.low), abs(each.high)) for each in intervals)
    end = min(1.0, max(1, math.ceil(reach * 10 - 1e-9)) / 10)
    return Axis(-end, end, (-end, -end / 2, 0.0, end / 2, end))


def strip(axis: Axis, interval: Interval, kind: str, band: tuple[float, float] | None) -> Html:
    """Draw one interval with its mean on an axis; ``kind`` is the class that colours it.

    ``band`` shades a range behind it, such as the teacher's gain over the fork point.
    """
    parts = [_grid_line(axis, tick) for tick in axis.ticks]
    if band is not None:
        ends = sorted(band)
        parts.insert(0, _box(axis, ends[0], ends[1], {"class": "band", "height": "100%"}))
    parts += [
        _box(axis, interval.low, interval.high, {"class": "interval", "y": "32%", "height": "36%"}),
        _vertical(axis.percent(interval.mean), "mean"),
    ]
    title = element("title", {}, f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})")
    box = {"class": f"strip {kind}", "aria-hidden": "true"}
    return element("svg", box, title, *parts)


def scale(axis: Axis, labels: Sequence[tuple[float, str]]) -> Html:
    """Write labels under their places on an axis."""
    places = (
        element("span", {"style": f"left:{axis.percent(value)}"}, text) for value, text in labels
    )
    return element("div", {"class": "scale", "aria-hidden": "true"}, *places)


def _grid_line(axis: Axis, tick: float) -> Html:
    zero = axis.low < 0 and tick == 0
    return _vertical(axis.percent(tick), "zero" if zero else "grid")


def _vertical(place: str, kind: str) -> Html:
    return element("line", {"class": kind, "x1": place, "x2": place, "y1": "0", "y2": "100%"})


def _box(axis: Axis, low: float, high: float, attributes: dict[str, str]) -> Html:
    left, right = (float(axis.percent(value).rstrip("%")) for value in (low, high))
    return element("rect", {**attributes, "x": f"{left:.2f}%", "width": f"{right - left:.2f}%"})
