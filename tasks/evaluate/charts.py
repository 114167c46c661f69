"""The axes of the small charts of scores; ``charts.html.j2`` draws on them.

Horizontal positions are percentages of the drawing's width: the same markup fills a phone and a
wide screen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
