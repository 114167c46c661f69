"""The picture of the map: a small panel for each axis, with the methods' normalized scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.common.circumstances import PICTURES
from benchmarks.map.points import AXES, CENTER, COMPARED, LADDER, name_of

PICTURE = PICTURES / "map.png"
TITLES = {
    "length": "answer length, steps",
    "gap": "teachers' climb, RL steps",
    "conflict": "conflict of two domains",
    "error": "wrong on purpose, %",
    "teachers": "number of teachers",
}
LABELS = dict(zip(COMPARED, ("MOPD", "off-policy SFT", "Mix-RL"), strict=True))
MARKERS = dict(zip(COMPARED, "os^", strict=True))
_SHIFT = 0.08
"""Distance between methods at one value, so that intervals do not hide each other."""


def draw(figures: Mapping[str, Any], path: Path) -> None:
    """Draw what was found at the points that ran; an empty panel waits for its points."""
    figure, panels = plt.subplots(2, 3, figsize=(10, 6), sharey=True)
    *axes, last = panels.flat
    for panel, axis in zip(axes, AXES, strict=True):
        _draw_axis(panel, axis, figures["points"])
    _draw_ladder(last, figures["points"].get(CENTER, {}))
    for row in panels:
        row[0].set_ylabel("normalized score")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="upper center", ncols=len(COMPARED))
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


Bar = tuple[int, float, float, float]
"""Place on the axis, mean, and how far the interval reaches below and above it."""


def bars(axis: str, method: str, points: Mapping[str, Any]) -> list[Bar]:
    """Return a method's bars at the points that ran."""
    found = []
    for place, value in enumerate(AXES[axis]):
        row = points.get(name_of(axis, value), {}).get("methods", {}).get(method)
        if row:
            found.append((place, *_around(row["normalized"])))
    return found


def _around(interval: Mapping[str, float]) -> tuple[float, float, float]:
    mean = interval["mean"]
    return mean, mean - interval["low"], interval["high"] - mean


def _draw_axis(panel: Axes, axis: str, points: Mapping[str, Any]) -> None:
    for number, method in enumerate(COMPARED):
        rows = bars(axis, method, points)
        panel.errorbar(
            [place + (number - 1) * _SHIFT for place, *_ in rows],
            [mean for _, mean, _, _ in rows],
            yerr=[[below for *_, below, _ in rows], [above for *_, above in rows]],
            marker=MARKERS[method],
            capsize=3,
            color=str(0.3 * number),
            label=LABELS[method],
        )
    panel.set_xticks(range(len(AXES[axis])), [str(value) for value in AXES[axis]])
    _frame(panel, TITLES[axis])


def _draw_ladder(panel: Axes, center: Mapping[str, Any]) -> None:
    names = {COMPARED[0]: "direct", LADDER: "staged ladder"}
    for place, method in enumerate(names):
        if row := center.get("methods", {}).get(method):
            mean, below, above = _around(row["normalized"])
            panel.errorbar(
                [place], [mean], yerr=[[below], [above]], marker="o", capsize=3, color="0"
            )
    panel.set_xticks(range(len(names)), [*names.values()])
    panel.set_xlim(-0.5, len(names) - 0.5)
    _frame(panel, "MOPD at the center")


def _frame(panel: Axes, title: str) -> None:
    panel.axhline(1, linestyle=":", color="0.5")
    panel.axhline(0, linestyle=":", color="0.5")
    panel.set_title(title, fontsize=10)
