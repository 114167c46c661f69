"""The lines between the boxes of a drawn lineage, and their labels, as SVG."""

import re
from collections import Counter
from collections.abc import Sequence
from html import escape
from itertools import pairwise

from lineage.view.fold import Line
from lineage.view.layout import Sizes

Point = tuple[float, float]
"""x and y in pixels."""
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
_SAID = {
    "start": "starts from",
    "base": "starts from",
    "student": "student starts from",
    "fork_point": "fork point",
    "checkpoint": "weights",
}
"""Labels for roles with names that people would not recognize."""


def curve(line: Line, route: Sequence[Point], sizes: Sizes) -> str:
    """Draw a line from box to box. It moves sideways between the layers, so it crosses no box."""
    points = _bends(route, sizes)
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        path += f" C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}"
    x, y = points[-1]
    head = f"M{x - 4:.1f},{y - 8:.1f} L{x:.1f},{y:.1f} L{x + 4:.1f},{y - 8:.1f}"
    return (
        f"<g><title>{clean(', '.join(line.roles))}</title>"
        f'<path d="{path}" fill="none" stroke="{tint(line)}" stroke-width="1.5"/>'
        f'<path d="{head}" fill="none" stroke="{tint(line)}" stroke-width="1.5"/></g>'
    )


def labels(drawn: Sequence[tuple[Line, Sequence[Point]]], sizes: Sizes) -> list[tuple[str, Point]]:
    """Return the label of each line and where it is, so that labels do not cover each other.

    A long line has its label beside the layers that it passes. A short one has it where its end
    is alone: below a parent of one line, else above the child.
    """
    lines_of = Counter(line.parent for line, _ in drawn)
    found = []
    for line, route in drawn:
        points = _bends(route, sizes)
        if len(points) > 2:
            (x, y0), (_, y1) = points[1], points[2]
            at = (x, (y0 + y1) / 2)
        elif lines_of[line.parent] == 1:
            at = (points[0][0], points[0][1] + 16)
        else:
            at = (points[-1][0], points[-1][1] - 14)
        found.append((label(line), at))
    return found


def label(line: Line) -> str:
    """Return the label of a line: what a child took from its parent."""
    if share(line):
        return f"{share(line)} of tokens"
    roles = dict.fromkeys(role.partition("[")[0] for role in line.roles)
    if "checkpoint" in roles:
        roles.pop("ladder", None)  # the box of the climb says how many rungs it has
    return ", ".join(_SAID.get(role, role.replace("_", " ")) for role in roles)


def tint(line: Line) -> str:
    """Return the color of a line; a teacher's line is highlighted."""
    return "#8e24aa" if "teacher" in line.roles else "#90a4ae"


def share(line: Line) -> str:
    """Return a teacher's share as text, "" where none is stated."""
    if line.weight is None:
        return ""
    amount = f"{line.weight:.0%}" if 0 <= line.weight <= 1 else f"{line.weight:g}"
    return f"{line.name} {amount}".strip()


def _bends(route: Sequence[Point], sizes: Sizes) -> list[Point]:
    """Return the points of a line: it leaves a box below, and passes each layer straight down."""
    half = sizes.box_height / 2
    passed = [(x, y + side) for x, y in route[1:-1] for side in (-half, half)]
    return [(route[0][0], route[0][1] + half), *passed, (route[-1][0], route[-1][1] - half)]


def clean(text: str) -> str:
    """Return ``text`` safe inside XML: escaped, without control and direction characters."""
    return escape(visible(text), quote=True)


def visible(text: str) -> str:
    """Return ``text`` with a mark in place of each control and direction character."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
