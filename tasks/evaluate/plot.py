"""``scorecard.png``: every method in every domain, with its interval, on one shared score axis.

One panel for each domain, one row for each method, so that no legend is needed and
it reads in gray. The band from the fork point to the teacher is the gain that a merge can keep.
"""

import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tasks.evaluate.scorecard import DomainScores, Scorecard
from tasks.evaluate.scores import FORK_POINT, OVERALL, STUDENT, TEACHER
from tasks.evaluate.wording import headline, label, number, sampling
from tasks.statistics import Interval

# Okabe and Ito's palette: distinct under every common color blindness.
BLUE, VERMILION, GRAY, INK = "#0072B2", "#D55E00", "#6B6B6B", "#1F2328"
BAND, RULE = "#E8F1F7", "#D0D4D9"

COLORS = {FORK_POINT: GRAY, TEACHER: BLUE, STUDENT: VERMILION}
"""The controls are all in ink: their rows name them."""

PANELS = 5
"""Panels side by side; more domains go into further rows of panels."""

WIDTH, MARGIN, LETTER = 12.5, 0.35, 0.082
GAP, TITLE_LINE, ROW, PANEL_HEADER, PANEL_FOOTER = 0.3, 0.25, 0.36, 0.42, 0.5
"""Inches."""


def write_plot(card: Scorecard, path: Path) -> None:
    """Write the scorecard's figure as a PNG."""
    scorecard_figure(card).savefig(path, dpi=160)


def scorecard_figure(card: Scorecard) -> Figure:
    """Return the scorecard's figure. Its title states the finding of this scorecard."""
    panels = list(card.everything().items())
    grid = [panels[start : start + PANELS] for start in range(0, len(panels), PANELS)]
    strip = PANEL_HEADER + ROW * (len(card.methods()) + 0.4) + PANEL_FOOTER
    title = textwrap.wrap(headline(card), 104)
    header = 0.62 + TITLE_LINE * len(title)
    height = header + strip * len(grid)
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    _write_header(figure, card, title)
    labels = 0.18 + LETTER * max(len(label(method)) for method in card.methods())
    columns = min(PANELS, len(panels))
    panel = min(4.0, (WIDTH - 2 * MARGIN - labels - GAP * (columns - 1)) / columns)
    for line, names in enumerate(grid):
        bottom = height - header - strip * (line + 1) + PANEL_FOOTER
        for column, (name, scores) in enumerate(names):
            left = MARGIN + labels + column * (panel + GAP)
            box = (left, bottom, panel, strip - PANEL_HEADER - PANEL_FOOTER)
            axes = figure.add_axes(_relative(box, height))
            _draw_panel(axes, name, scores, card.methods())
            if column == 0:
                _label_rows(axes, card.methods())
    return figure


def _relative(
    box: tuple[float, float, float, float], height: float
) -> tuple[float, float, float, float]:
    left, bottom, width, tall = box
    return left / WIDTH, bottom / height, width / WIDTH, tall / height


def _write_header(figure: Figure, card: Scorecard, title: list[str]) -> None:
    """Write the finding as the title, and below it how it was measured and how to read it."""
    left, height = MARGIN / WIDTH, figure.get_figheight()
    for line, text in enumerate(title):
        top = 1 - (0.2 + TITLE_LINE * line) / height
        figure.text(left, top, text, fontsize=13.5, fontweight="bold", color=INK, va="top")
    reading = f"One run: mean and 95 % interval over {sampling(card)}."
    if FORK_POINT in card.methods():
        reading += " The light band runs from the fork point to the teacher."
    figure.text(
        left,
        1 - (0.29 + TITLE_LINE * len(title)) / height,
        reading,
        fontsize=9.5,
        color=GRAY,
        va="top",
    )


def _draw_panel(axes: Axes, name: str, scores: DomainScores, methods: tuple[str, ...]) -> None:
    """Draw one domain: a row for each method from the top down, on a score axis from 0 to 1."""
    axes.set_xlim(0, 1)
    axes.set_ylim(len(methods) - 0.3, -0.7)
    axes.set_title(name, loc="left", fontsize=11, fontweight="bold", color=INK, pad=6)
    axes.set_yticks([])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.tick_params(axis="x", color=RULE, labelcolor=GRAY, labelsize=9, length=3)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)
    if FORK_POINT in methods:
        ends = (scores.methods[FORK_POINT].mean, scores.methods[TEACHER].mean)
        axes.axvspan(min(ends), max(ends), color=BAND, zorder=0, linewidth=0)
    for row, method in enumerate(methods):
        _draw_row(axes, row, method, scores.methods[method])
    if name == OVERALL:
        axes.set_facecolor("#F6F7F8")


def _draw_row(axes: Axes, row: int, method: str, interval: Interval) -> None:
    color = COLORS.get(method, INK)
    strong = method == STUDENT
    # A bar for the interval and a tall tick for the mean: no marker hides a narrow interval.
    axes.plot(
        [interval.low, interval.high], [row, row], color=color, linewidth=7, alpha=0.4,
        solid_capstyle="butt", clip_on=False,
    )  # fmt: skip
    axes.plot(
        [interval.mean], [row], marker="|", markersize=14, markeredgewidth=3 if strong else 2,
        color=color, linestyle="none", clip_on=False,
    )  # fmt: skip
    # The number is on the side that has room, clear of the interval.
    right = interval.high < 0.78
    axes.annotate(
        number(interval.mean),
        (interval.high if right else interval.low, row),
        xytext=(6 if right else -6, 0), textcoords="offset points",
        ha="left" if right else "right", va="center", fontsize=9.5,
        color=color, fontweight="bold" if strong else "normal",
    )  # fmt: skip


def _label_rows(axes: Axes, methods: tuple[str, ...]) -> None:
    for row, method in enumerate(methods):
        axes.annotate(
            label(method), (0, row), xycoords=axes.get_yaxis_transform(),
            xytext=(-12, 0), textcoords="offset points", ha="right", va="center", fontsize=10.5,
            color=COLORS.get(method, INK), fontweight="bold" if method == STUDENT else "normal",
        )  # fmt: skip
